"""How much room there is for actors, and why one was lost. Knows nothing about what the actors do."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayError, RayTaskError

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


def lost_with_node(error: RayError, node: str) -> bool:
    """Returns whether an actor was lost for nothing that it did: its node is gone, or out of reach.

    Args:
        error: what a call of it raised.
        node: where it was; empty when it had not come up yet.
    """
    if isinstance(error, ActorUnavailableError) or getattr(error, "preempted", False):
        return True
    return "its node has died" in str(error) or (bool(node) and not _is_alive(node))


def cause(error: RayTaskError) -> Exception:
    """Returns what an actor raised."""
    return error.cause if isinstance(error.cause, Exception) else error


def _is_alive(node: str) -> bool:
    return any(found["NodeID"] == node and found["Alive"] for found in ray.nodes())
