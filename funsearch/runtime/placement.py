"""How much room there is for actors, and which nodes are there. Knows nothing about what the actors do."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import ray
from ray.exceptions import RayError

logger = logging.getLogger(__name__)


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


def warn_if_nowhere(what: str, options: Mapping[str, Any]) -> None:
    """Says so if no node could hold an actor with these options; one may still come."""
    if room(ray.nodes(), options):
        return
    wanted = {"CPU": options["num_cpus"], "GPU": options["num_gpus"], **options.get("resources", {})}
    asked = [f"{name} {amount:g}" for name, amount in wanted.items() if amount]
    asked += [f"the label {name}={value}" for name, value in options.get("label_selector", {}).items()]
    logger.warning("no node here has what the %s asks for (%s): it waits for one that has", what, ", ".join(asked))


def is_nodes_fault(error: RayError) -> bool:
    """Returns whether an actor died because its node is no more."""
    return bool(getattr(error, "preempted", False)) or "its node has died" in str(error)


def is_alive(node: str) -> bool:
    """Returns whether the cluster still has the node."""
    return any(found["NodeID"] == node and found["Alive"] for found in ray.nodes())
