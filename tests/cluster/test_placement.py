"""Room on nodes, and what a node takes along when it goes."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from ray.exceptions import RayActorError

from funsearch.cluster import placement, sampler_pool
from funsearch.cluster.placement import room, warn_if_nowhere
from funsearch.cluster.sampler_pool import STILLBORN, SamplerPool
from funsearch.errors import SamplerError

NODES = [
    {"Alive": True, "NodeID": "a", "Labels": {"role": "driver"}, "Resources": {"CPU": 4.0}},
    {"Alive": True, "NodeID": "b", "Labels": {"role": "sampler"}, "Resources": {"CPU": 8.0, "GPU": 2.0}},
    {"Alive": False, "NodeID": "c", "Labels": {"role": "sampler"}, "Resources": {"CPU": 8.0, "GPU": 8.0}},
]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"num_cpus": 2, "num_gpus": 0}, 6),
        ({"num_cpus": 1, "num_gpus": 1}, 2),
        ({"num_cpus": 0, "num_gpus": 0, "label_selector": {"role": "sampler"}}, 1),
        ({"num_cpus": 1, "num_gpus": 0, "label_selector": {"role": "drivr"}}, 0),
    ],
)
def test_room_is_that_of_living_nodes_with_the_labels(options: dict[str, Any], count: int) -> None:
    assert room(NODES, options) == count


def test_place_that_is_nowhere_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(placement.ray, "nodes", lambda: NODES)
    warn_if_nowhere("sampler", {"num_cpus": 0, "num_gpus": 1})
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        warn_if_nowhere("driver", {"num_cpus": 1, "num_gpus": 0, "label_selector": {"role": "drivr"}})
    assert "what the driver asks for (CPU 1, the label role=drivr)" in caplog.text


class Mortal:
    """A sampler whose call is never answered."""

    def __init__(self) -> None:
        self.start = self
        self.call = object()

    def remote(self) -> object:
        return self.call


class Crew:
    """Hires such samplers."""

    count = 4

    def wanted(self) -> int:
        return self.count

    def hire(self) -> Mortal:
        return Mortal()

    def dismiss(self, worker: Mortal) -> None:
        """Does nothing."""


def all_die(monkeypatch: pytest.MonkeyPatch, error: Callable[[], RayActorError]) -> SamplerPool:
    def died(_ref: object) -> None:
        raise error()

    monkeypatch.setattr(sampler_pool.ray, "get", died)
    pool = SamplerPool(Crew())
    for ref in pool.awaited:
        pool.take(ref)
    return pool


def test_samplers_that_die_with_their_node_while_they_load_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Crew.count > STILLBORN
    pool = all_die(monkeypatch, lambda: RayActorError(None, "The actor died because its node has died."))
    assert pool.workers == []
    with pytest.raises(SamplerError, match="died 3 times while it loaded the model"):
        all_die(monkeypatch, lambda: RayActorError(None, "The actor died of a segmentation fault."))
