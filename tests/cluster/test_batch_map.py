"""The batch map, with actors that only pretend to live and die."""

from collections.abc import Sequence
from typing import NoReturn

import pytest
from pretend_actors import CRASH, Call, Workers
from ray.exceptions import RayError, RayTaskError

from funsearch.cluster.batch_map import BatchMap
from funsearch.cluster.supervisor import Supervisor
from funsearch.errors import SamplerError, TrainingError


class Doubling:
    """Doubles numbers in batches; actors die of 13, and of everything for the first calls."""

    def __init__(self, crashes: int = 0) -> None:
        self.calls: list[list[int]] = []
        self._crashes = crashes

    def send(self, _actor: object, batch: Sequence[int]) -> Call:
        self.calls.append(list(batch))
        dies = 13 in batch or len(self.calls) <= self._crashes
        return Call(CRASH if dies else [2 * number for number in batch])

    def results(
        self, batches: list[list[int]], max_given_up: int = 3, workers: Workers | None = None
    ) -> dict[int, int]:
        def fail(item: int, error: RayError) -> NoReturn:
            raise TrainingError(f"all are fatal, as {item} is")

        replicas = workers or Workers(2, [])
        supervisor = Supervisor(replicas, "worker", max_failed_starts=3, start_error=lambda *_: SamplerError(""))
        work = BatchMap(
            supervisor=supervisor,
            send=self.send,
            wait=lambda calls: calls[:1],
            fallback=lambda item, error: [-item],
            fail=fail,
            max_given_up=max_given_up,
        )
        pairs = [pair for batch, result in work.results(batches) for pair in zip(batch, result, strict=True)]
        assert len(pairs) == len(dict(pairs))
        assert not list(supervisor.tasks)
        return dict(pairs)


def test_every_batch_has_its_result(pretend_ray: None) -> None:
    batches = [[number, number + 1] for number in range(20, 40, 2)]
    assert Doubling().results(batches) == {n: 2 * n for n in range(20, 40)}


def test_no_batches_need_no_actors(pretend_ray: None) -> None:
    workers = Workers(2, [])
    assert Doubling().results([], workers=workers) == {}
    assert workers.started == []


def test_batches_of_actors_that_die_are_sent_again(pretend_ray: None) -> None:
    work = Doubling(crashes=3)
    assert work.results([[1, 2], [3, 4], [5, 6]]) == {n: 2 * n for n in range(1, 7)}
    assert len(work.calls) == 6


def test_fatal_item_is_found_and_given_up_alone(pretend_ray: None) -> None:
    work = Doubling()
    batches = [[10, 11], [12, 13, 14], [15, 16]]
    assert work.results(batches) == {n: -n if n == 13 else 2 * n for n in range(10, 17)}
    assert work.calls.count([13]) == 2
    assert [12] in work.calls


def test_items_that_are_all_fatal_are_an_error(pretend_ray: None) -> None:
    with pytest.raises(TrainingError, match="all are fatal, as 13 is"):
        Doubling().results([[13], [13]], max_given_up=1)


def test_exception_of_an_actor_is_raised(pretend_ray: None) -> None:
    class Failing(Doubling):
        def send(self, _actor: object, batch: Sequence[int]) -> Call:
            return Call(RayTaskError("work", "traceback", ValueError("no")))

    with pytest.raises(ValueError, match="no"):
        Failing().results([[1]])
