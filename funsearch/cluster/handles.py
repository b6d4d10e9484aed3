"""Types for what Ray hands out untyped: handles of actors, references to results, options and nodes.

Knows nothing about what any actor does.
"""

import time
from collections.abc import Generator, Sequence
from typing import ParamSpec, Protocol, TypedDict, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from funsearch.errors import first_line

P = ParamSpec("P")
T_co = TypeVar("T_co", covariant=True)


class Ref(Protocol[T_co]):
    """A reference to the result of a remote call: a `ray.ObjectRef`."""

    def __await__(self) -> Generator[object, None, T_co]: ...


class Method(Protocol[P, T_co]):
    """A method of an actor, as its handle offers it."""

    def remote(self, *args: P.args, **kwargs: P.kwargs) -> Ref[T_co]:
        """Calls the method and returns at once."""


class Actor(Protocol):
    """A handle of an actor that can be supervised."""

    @property
    def start(self) -> Method[[], str]:
        """Prepares the actor for work; returns the id of its node. Calling it again does nothing more."""


class ActorOptions(TypedDict, total=False):
    """Options of an actor, as Ray names them."""

    num_cpus: float
    num_gpus: float
    resources: dict[str, float]
    label_selector: dict[str, str]
    max_concurrency: int


class Node(TypedDict):
    """A node, as `ray.nodes()` describes it."""

    NodeID: str
    Alive: bool
    Labels: dict[str, str]
    Resources: dict[str, float]


def nodes() -> list[Node]:
    """Returns the nodes of the cluster, lost ones included."""
    found: list[Node] = ray.nodes()
    return found


def first_done(refs: Sequence[Ref[object]], seconds: float) -> list[Ref[object]]:
    """Returns the calls that are done, as soon as there is one or after `seconds`."""
    if not refs:
        time.sleep(seconds)
        return []
    ray.wait(list(refs), num_returns=1, timeout=seconds, fetch_local=True)
    done, _ = ray.wait(list(refs), num_returns=len(refs), timeout=0, fetch_local=True)
    return list(done)


def cause(error: RayTaskError) -> Exception:
    """Returns the exception that a method of an actor raised."""
    return error.cause if isinstance(error.cause, Exception) else error


def reason(error: RayError) -> str:
    """Returns how an actor died, in one line."""
    lines = str(error).strip().splitlines()
    # An exception in the constructor is at the end of a traceback.
    return lines[-1] if lines and "in its creation task" in lines[0] else first_line(error)


def here() -> str:
    """Returns the id of the node that this process runs on."""
    return str(ray.get_runtime_context().get_node_id())
