"""Settings of a training: what may be another when it goes on, and what cannot be meant."""

from pathlib import Path

import pytest

from funsearch.errors import ConfigError
from funsearch.settings.search import Settings
from funsearch.settings.training import TrainingSettings, check_same

BEFORE = TrainingSettings.load(None, ["rounds=1"])


@pytest.mark.parametrize("change", ["rounds=3", "vllm.max_num_seqs=8", "trainer.batch_size=4", "trainer.processes=2"])
def test_how_it_is_worked_off_may_change(change: str) -> None:
    check_same(BEFORE, TrainingSettings.load(None, ["rounds=1", change]), "demo")


@pytest.mark.parametrize("change", ["trainer.rank=32", "seed=3", "gate.draws=7"])
def test_what_is_trained_may_not(change: str) -> None:
    path, _, value = change.partition("=")
    with pytest.raises(ConfigError, match=rf"demo was begun with {path} = \d+, not {value}: give the same, or another"):
        check_same(BEFORE, TrainingSettings.load(None, ["rounds=1", change]), "demo")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("gate.confidence=95", r"gate.confidence = 95\.0: must be more than 0 and at most 1\."),
        ("gate.draws=0", r"gate.draws = 0: must be at least 1\."),
        ("selection.cutoff=0", r"selection.cutoff = 0: must be at least 1\."),
        ("trainer.batch_size=0", r"trainer.batch_size = 0: must be at least 1\."),
        ("trainer.epochs=0", r"trainer.epochs = 0\.0: must be a positive number\."),
        ("tasks.heldout=0", r"tasks.heldout = 0: must be at least 1\."),
        ("vllm.temperature=-1", r"vllm.temperature = -1\.0: must be 0 or more\."),
    ],
)
def test_number_that_cannot_be_meant_is_refused_at_once(change: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"^{says}"):
        TrainingSettings.load(None, [change])


def test_control_is_not_for_pairs() -> None:
    with pytest.raises(ConfigError, match=r"^selection.filtered = False: the control is for trainer.method = 'sft'"):
        TrainingSettings.load(None, ["selection.filtered=false", "trainer.method=dpo"])


def test_folder_of_policies_is_the_same_wherever_one_looks_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert TrainingSettings.load(None, ["folder=out"]).folder == str(tmp_path / "out")
    assert Settings.load(None, ["train.every=9", "train.folder=out"]).train.folder == str(tmp_path / "out")
    assert TrainingSettings.load(None, []).folder == ""
