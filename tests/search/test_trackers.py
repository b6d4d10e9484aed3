"""Trackers: the values that they log, and the errors that they report."""

from dataclasses import replace
from pathlib import Path

import pytest

from funsearch.errors import ConfigError
from funsearch.search.progress import Progress
from funsearch.search.trackers import MlflowTracker, open_tracker

PROGRESS = Progress(
    run="demo",
    problem="cap_set",
    state="running",
    samples=40,
    evaluated=30,
    valid=20,
    duplicates=5,
    registered=18,
    tokens=900,
    best_score=1.5,
    best_program=7,
    statuses={"OK": 20},
    seconds=2.0,
    session_samples=40,
    session_tokens=900,
    sampling=3,
    evaluating=2,
    samplers=1,
    evaluators=1,
    islands=(),
    sandbox="L3",
)


def test_tensorboard_logs_each_number_of_samples_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    tracker = open_tracker(f"tensorboard:{tmp_path}")
    tracker.log(PROGRESS)
    tracker.log(PROGRESS)
    tracker.log(replace(PROGRESS, samples=80, best_score=2.5))
    tracker.close()
    (file,) = tmp_path.iterdir()
    scores = [
        (event.step, value.tensor.float_val[0])
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
        if value.tag == "demo/best_score"
    ]
    assert scores == [(40, 1.5), (80, 2.5)]


@pytest.mark.filterwarnings("ignore")  # MLflow's use of SQLAlchemy causes warnings
def test_resumed_run_continues_its_mlflow_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    for samples in (40, 80):
        tracker = open_tracker("mlflow:caps")
        tracker.log(replace(PROGRESS, samples=samples))
        tracker.log(replace(PROGRESS, samples=samples + 10, best_score=None))
        tracker.close()
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("caps").experiment_id])
    assert run.info.run_name == "demo"
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "samples_per_second")
    assert [(metric.step, metric.value) for metric in history] == [(40, 20.0), (50, 20.0), (80, 20.0), (90, 20.0)]
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "best_score")] == [40, 80]


@pytest.mark.filterwarnings("ignore")
def test_unreachable_mlflow_server_is_refused_at_the_start_and_logged_once_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    tracker = MlflowTracker("caps", seconds=0)
    tracker.log(PROGRESS)
    monkeypatch.setattr(type(tracker._client), "log_batch", _fail)
    tracker.log(replace(PROGRESS, samples=50))
    tracker.log(replace(PROGRESS, samples=60))
    tracker.close()
    assert [record.getMessage() for record in caplog.records if "MLflow cannot" in record.getMessage()] == [
        "MLflow cannot be written to (no route); the search continues"
    ]
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for address in ("http://127.0.0.1:9", "foo://bar"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        with pytest.raises(ConfigError, match="Is MLFLOW_TRACKING_URI right"):
            open_tracker("mlflow:caps")


def _fail(*_: object, **__: object) -> None:
    raise ConnectionError("no route")


def test_unwritable_tensorboard_folder_is_refused_at_the_start_and_logged_once_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"--track tensorboard:.*/file/x: Not a directory: name another folder"):
        open_tracker(f"tensorboard:{tmp_path}/file/x")
    tracker = open_tracker(f"tensorboard:{tmp_path}/out")
    monkeypatch.setattr(tracker._writer, "add_scalar", _fail)  # type: ignore[attr-defined]
    for samples in (10, 20):
        tracker.log(replace(PROGRESS, samples=samples))
    tracker.close()
    assert [record.getMessage() for record in caplog.records] == [
        "TensorBoard's files cannot be written (no route); the search continues"
    ]


@pytest.mark.parametrize("spec", ["tensorboard", "tensorboard:", "wandb:project"])
def test_unknown_tracker_is_refused(spec: str) -> None:
    with pytest.raises(ConfigError, match="write tensorboard:FOLDER or mlflow:EXPERIMENT"):
        open_tracker(spec)
