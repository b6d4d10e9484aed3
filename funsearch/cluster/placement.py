"""Where actors fit, and whether one was lost with its node. Knows nothing about what the actors do."""

import logging
from collections.abc import Iterable, Mapping
from typing import cast

from ray.exceptions import ActorUnavailableError, RayError

from funsearch.cluster.handles import ActorOptions, Node, nodes
from funsearch.settings.search import Place

logger = logging.getLogger(__name__)


def options_at(place: Place, *, cpus: float, gpus: float) -> ActorOptions:
    """Returns the options of an actor at a place; `cpus` and `gpus` hold where the place sets none."""
    return cast(ActorOptions, place.options(cpus=cpus, gpus=gpus))


def room(nodes: Iterable[Node], options: ActorOptions) -> int:
    """Returns how many actors with these options the nodes could hold if they held nothing else."""
    needed = _needed(options)
    labels = options.get("label_selector", {}).items()
    fitting = [node for node in nodes if node["Alive"] and labels <= node.get("Labels", {}).items()]
    if not needed:
        return len(fitting)
    return sum(
        min(int(node["Resources"].get(name, 0) / amount + 1e-9) for name, amount in needed.items()) for node in fitting
    )


def warn_if_nowhere(actor: str, options: ActorOptions) -> None:
    """Logs a warning if no node could hold an actor with these options; such a node may still join."""
    if room(nodes(), options):
        return
    needed = [f"{name} {amount:g}" for name, amount in _needed(options).items()]
    needed += [f"the label {name}={value}" for name, value in options.get("label_selector", {}).items()]
    logger.warning("no node has what the %s needs (%s): waiting for one that does", actor, ", ".join(needed))


def lost_with_node(error: RayError, node: str) -> bool:
    """Returns whether an actor was lost through no fault of its own: its node is gone or cannot be reached.

    Args:
        error: what a call to the actor raised.
        node: id of the actor's node; empty if the actor had not started yet.
    """
    if isinstance(error, ActorUnavailableError) or getattr(error, "preempted", False):
        return True
    return "its node has died" in str(error) or (bool(node) and not _is_alive(node))


def _needed(options: ActorOptions) -> Mapping[str, float]:
    """Returns the amount of each resource that an actor needs, without those of which it needs none."""
    amounts = {"CPU": options["num_cpus"], "GPU": options["num_gpus"], **options.get("resources", {})}
    return {name: amount for name, amount in amounts.items() if amount}


def _is_alive(node: str) -> bool:
    return any(other["NodeID"] == node and other["Alive"] for other in nodes())
