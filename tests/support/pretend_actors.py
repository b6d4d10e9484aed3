"""Actors that only pretend to live and die, with references to calls that have ended already."""

from ray.exceptions import RayActorError, RayError

CRASH = RayActorError(None, "The actor died of a segmentation fault.")
NODE_LOSS = RayActorError(None, "The actor died because its node has died.")


class Call:
    """A call that has ended: with a value, or with an error."""

    def __init__(self, outcome: object) -> None:
        self.outcome = outcome


class Worker:
    """An actor whose start ends as given."""

    def __init__(self, start: object) -> None:
        self.start = self
        self._outcome = start

    def remote(self) -> Call:
        return Call(self._outcome)


class Workers:
    """Replicas of such actors, which start as given and then on the node `n`."""

    def __init__(self, count: int, starts: list[object]) -> None:
        self.count = count
        self.started: list[Worker] = []
        self.stopped: list[Worker] = []
        self._starts = starts

    def wanted(self) -> int:
        return self.count

    def start(self) -> Worker:
        self.started.append(Worker(self._starts.pop(0) if self._starts else "n"))
        return self.started[-1]

    def stop(self, actor: Worker) -> None:
        self.stopped.append(actor)


def get(call: Call) -> object:
    """Stands for `ray.get`."""
    if isinstance(call.outcome, RayError):
        raise call.outcome
    return call.outcome
