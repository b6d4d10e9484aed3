"""Settings: where values come from, and what is refused."""

from pathlib import Path

import pytest

from funsearch.errors import ConfigError
from funsearch.loading import InputText
from funsearch.settings.search import Settings


def test_later_sources_win(tmp_path: Path) -> None:
    config = tmp_path / "search.toml"
    config.write_text("seed = 1\n[database]\nislands = 3\ncluster_temperature = 0.2\n")
    settings = Settings.load(config, ["database.islands=4"], seed=2)
    assert (settings.seed, settings.database.islands, settings.database.cluster_temperature) == (2, 4, 0.2)


def test_options_that_were_not_given_leave_the_file_alone(tmp_path: Path) -> None:
    config = tmp_path / "search.toml"
    config.write_text("seed = 7\n")
    assert Settings.load(config, [], seed=None).seed == 7


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("database.islnds=4", "database.islands"),
        ("sede=1", "seed"),
        ("nonsense_altogether=1", "known are"),
        ("database=4", "section"),
        ("seed.deeper=1", "not a section|seed"),
        ("seed=minus one", "seed = 'minus one'"),
        ("seed=-1", "seed = -1"),
        ("evaluators=0", "evaluators = 0"),
        ("sandbox.level=L9", "sandbox.level = 'L9'"),
        ("seed", "KEY=VALUE"),
    ],
)
def test_bad_setting_is_refused_with_its_path(assignment: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Settings.load(None, [assignment])


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        Settings.load(tmp_path / "missing.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("seed = = 1")
    with pytest.raises(ConfigError, match=r"broken\.toml is not TOML"):
        Settings.load(broken)


def test_stored_settings_come_back_equal() -> None:
    settings = Settings.load(None, ["database.islands=4", "vllm.temperature=0.7"], seed=5)
    inputs = (InputText("n", "5", False),)
    assert Settings.restored(settings.stored(inputs)) == (settings, inputs)


def test_enough_prompts_are_in_flight_to_fill_the_model_and_its_queue() -> None:
    settings = Settings.load(None, ["vllm.max_num_seqs=64", "samples_per_prompt=8"])
    assert settings.in_flight() * settings.samples_per_prompt > settings.vllm.max_num_seqs * 1.5
