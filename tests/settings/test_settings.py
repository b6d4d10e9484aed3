"""Settings: where values come from, and which are refused."""

from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel

from funsearch.errors import ConfigError
from funsearch.loading import InputText
from funsearch.settings.parsing import RENAMED, checked_model
from funsearch.settings.search import Settings
from funsearch.settings.training import SelfTraining, TrainingSettings


def test_later_sources_win(tmp_path: Path) -> None:
    config = tmp_path / "search.toml"
    config.write_text("seed = 1\n[database]\nislands = 3\ncluster_temperature = 0.2\n")
    settings = Settings.load(config, ["database.islands=4"], seed=2)
    assert (settings.seed, settings.database.islands, settings.database.cluster_temperature) == (2, 4, 0.2)


def test_option_that_is_none_does_not_override_the_file(tmp_path: Path) -> None:
    config = tmp_path / "search.toml"
    config.write_text("seed = 7\n")
    assert Settings.load(config, [], seed=None).seed == 7


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("database.islnds=4", "database.islands"),
        ("sede=1", "seed"),
        ("nonsense_altogether=1", r"Unknown setting nonsense_altogether: the settings are database, evaluator_seconds"),
        ("vllm.qqqq=1", r"Unknown setting vllm\.qqqq: the settings in vllm are "),
        ("database=4", "section"),
        ("seed.deeper=1", "not a section|seed"),
        ("seed=minus one", "seed = 'minus one'"),
        ("seed=-1", "seed = -1"),
        ("evaluators=0", "evaluators = 0"),
        ("sandbox.level=L9", "sandbox.level = 'L9'"),
        ("seed", "KEY=VALUE"),
    ],
)
def test_bad_setting_is_refused_with_its_path(assignment: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        Settings.load(None, [assignment])


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        Settings.load(tmp_path / "missing.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("seed = = 1")
    with pytest.raises(ConfigError, match=r"broken\.toml is not TOML"):
        Settings.load(broken)


def test_stored_settings_are_restored() -> None:
    settings = Settings.load(None, ["database.islands=4", "vllm.temperature=0.7"], seed=5)
    inputs = (InputText("n", "5", False),)
    assert Settings.restored(settings.stored(inputs)) == (settings, inputs)


def test_prompts_in_flight_fill_the_model_and_its_queue() -> None:
    settings = Settings.load(None, ["vllm.max_num_seqs=64", "samples_per_prompt=8"])
    assert settings.in_flight() * settings.samples_per_prompt > settings.vllm.max_num_seqs * 1.5


def sections() -> Iterator[tuple[type[BaseModel], str, type]]:
    """Yields every section of the settings with its class."""
    for model in (SelfTraining, Settings, TrainingSettings):
        for name, field in model.model_fields.items():
            kind = field.annotation
            if isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, BaseModel)):
                yield model, name, kind


SECTIONS = [pytest.param(*case, id=f"{case[0].__name__}-{case[1]}") for case in sections()]


@pytest.mark.parametrize(("model", "name", "kind"), SECTIONS)
def test_section_can_be_given_as_an_instance(model: type[BaseModel], name: str, kind: type) -> None:
    section = kind()
    assert getattr(model(**{name: section}), name) == section
    assert getattr(checked_model(model, {name: section}), name) == section


@pytest.mark.parametrize(("model", "name", "kind"), SECTIONS)
def test_section_can_be_given_as_a_dict(model: type[BaseModel], name: str, kind: type) -> None:
    assert getattr(model(**{name: {}}), name) == getattr(model(), name)


def test_section_of_another_class_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"gate = TaskOptions\(.*\): gate is a section; set gate\.NAME"):
        TrainingSettings.load(None, [], gate=TrainingSettings().tasks)


VALUES = {"tasks.held": 7, "gate.pass_one": "greedy", "trainer.accumulate": 3}


def at(settings: object, path: str) -> object:
    """Returns the setting at a dotted path."""
    for name in path.split("."):
        settings = getattr(settings, name)
    return settings


def nested(path: str, value: object) -> dict[str, object]:
    """Returns settings in which the setting at a dotted path has this value."""
    name, _, rest = path.partition(".")
    return {name: nested(rest, value) if rest else value}


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_former_name_of_a_setting_is_accepted(old: str, new: str, tmp_path: Path) -> None:
    value = VALUES[old]
    assert at(TrainingSettings.load(None, [f"{old}={value}"]), new) == value
    assert at(TrainingSettings.restored(nested(old, value)), new) == value
    assert at(Settings.load(None, [f"train.{old}={value}"]), f"train.{new}") == value
    assert at(Settings.restored(nested(f"train.{old}", value) | {"inputs": []})[0], f"train.{new}") == value
    config = tmp_path / "train.toml"
    config.write_text(f"{old} = {value!r}\n")
    assert at(TrainingSettings.load(config), new) == value


def test_setting_under_both_names_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.tasks\.held is the former name of train\.tasks\.heldout: give only"):
        Settings.load(None, ["train.tasks.held=3", "train.tasks.heldout=4"])


def test_former_name_elsewhere_is_unknown() -> None:
    with pytest.raises(ConfigError, match=r"Unknown setting database\.held: the settings in database are"):
        Settings.load(None, ["database.held=3"])
