"""Where actors fit."""

import logging

import pytest

from funsearch.cluster import placement
from funsearch.cluster.handles import ActorOptions
from funsearch.cluster.placement import room, warn_if_nowhere

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
def test_room_counts_live_nodes_with_the_labels(options: ActorOptions, count: int) -> None:
    assert room(NODES, options) == count


def test_actor_that_fits_nowhere_is_reported(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(placement, "nodes", lambda: NODES)
    warn_if_nowhere("sampler", {"num_cpus": 0, "num_gpus": 1})
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        warn_if_nowhere("driver", {"num_cpus": 1, "num_gpus": 0, "label_selector": {"role": "drivr"}})
    assert "what the driver needs (CPU 1, the label role=drivr)" in caplog.text
