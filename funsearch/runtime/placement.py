"""How much room there is for actors, and which nodes are there. Knows nothing about what the actors do."""

from collections.abc import Iterable, Mapping
from typing import Any

import ray


def room(nodes: Iterable[Mapping[str, Any]], options: Mapping[str, Any]) -> int:
    """Returns how many actors with these options the nodes of `ray.nodes()` could hold if they held nothing else."""
    asked = {"CPU": options["num_cpus"], "GPU": options["num_gpus"], **options.get("resources", {})}
    asked = {name: amount for name, amount in asked.items() if amount}
    labels = options.get("label_selector", {}).items()
    fitting = [node for node in nodes if node["Alive"] and labels <= node.get("Labels", {}).items()]
    if not asked:
        return len(fitting)
    return sum(
        min(int(node["Resources"].get(name, 0) / amount + 1e-9) for name, amount in asked.items()) for node in fitting
    )


def is_alive(node: str) -> bool:
    """Returns whether the cluster still has the node."""
    return any(found["NodeID"] == node and found["Alive"] for found in ray.nodes())
