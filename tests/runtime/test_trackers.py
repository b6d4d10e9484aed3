"""Trackers: what is drawn, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from funsearch.errors import ConfigError
from funsearch.runtime.progress import Progress
from funsearch.runtime.trackers import open_tracker

PROGRESS = Progress(
    *("demo", "cap_set", "running", 40, 30, 20, 5, 18, 900, 1.5, 7, 2.0, 40, 900, 3, 2), (), {"OK": 20}, "L3"
)


def test_tensorboard_has_every_look_at_the_run_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    tracker = open_tracker(f"tensorboard:{tmp_path}")
    tracker.log(PROGRESS)
    tracker.log(PROGRESS)
    tracker.log(replace(PROGRESS, samples=80, best_score=2.5))
    tracker.close()
    (file,) = tmp_path.iterdir()
    found = [
        (event.step, value.tensor.float_val[0])
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
        if value.tag == "demo/best_score"
    ]
    assert found == [(40, 1.5), (80, 2.5)]


@pytest.mark.parametrize("spec", ["tensorboard", "tensorboard:", "wandb:project"])
def test_unknown_tracker_is_refused(spec: str) -> None:
    with pytest.raises(ConfigError, match="write tensorboard:FOLDER"):
        open_tracker(spec)
