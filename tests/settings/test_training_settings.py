"""Settings of a training: which may change when it is resumed, and which values are refused."""

from pathlib import Path

import pytest

from funsearch.errors import ConfigError
from funsearch.rest_em.gate import GateConfig
from funsearch.settings.search import Settings
from funsearch.settings.training import SelfTraining, TrainingSettings, check_same

BEFORE = TrainingSettings.load(None, ["rounds=1"])


@pytest.mark.parametrize("change", ["rounds=3", "vllm.max_num_seqs=8", "trainer.batch_size=4", "trainer.processes=2"])
def test_settings_of_how_the_work_is_done_may_change(change: str) -> None:
    check_same(BEFORE, TrainingSettings.load(None, ["rounds=1", change]), "demo")


@pytest.mark.parametrize("change", ["trainer.rank=32", "seed=3", "gate.draws=7"])
def test_settings_of_what_is_trained_may_not_change(change: str) -> None:
    path, _, value = change.partition("=")
    with pytest.raises(
        ConfigError, match=rf"demo was started with {path} = \d+, not {value}: give the same value, or another"
    ):
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
def test_number_out_of_range_is_refused(change: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"^{says}"):
        TrainingSettings.load(None, [change])


def test_unfiltered_control_is_refused_for_dpo() -> None:
    with pytest.raises(
        ConfigError, match=r"^selection.filtered = False: the unfiltered control needs trainer.method = 'sft'"
    ):
        TrainingSettings.load(None, ["selection.filtered=false", "trainer.method=dpo"])


def test_folder_of_policies_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert TrainingSettings.load(None, ["folder=out"]).folder == str(tmp_path / "out")
    assert Settings.load(None, ["train.every=9", "train.folder=out"]).train.folder == str(tmp_path / "out")
    assert TrainingSettings.load(None, []).folder == ""


def test_step_of_a_search_keeps_a_section_that_is_given_whole() -> None:
    gate = GateConfig(draws=7)
    assert SelfTraining(every=10, gate=gate).gate is gate
    assert SelfTraining(every=10, gate={"draws": 7}).gate == GateConfig(draws=7, pass_at_1="sampled")
    assert SelfTraining(every=10).step(3, "auto").gate.pass_at_1 == "sampled"
