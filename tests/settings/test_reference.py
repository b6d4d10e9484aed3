"""docs/settings.md: the generated reference of all settings is complete and up to date."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from funsearch.settings.search import Settings
from funsearch.settings.training import TrainingSettings

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """The tool, imported from its file."""
    specification = importlib.util.spec_from_file_location("settings_reference", ROOT / "tools/settings_reference.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


def test_every_setting_has_a_description(tool: ModuleType) -> None:
    assert tool.undocumented() == [], "write a docstring below each of these fields"


def test_reference_is_up_to_date(tool: ModuleType) -> None:
    written = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert written == tool.render(), f"docs/settings.md is out of date: run `{tool.COMMAND}`"


@pytest.mark.parametrize("settings", [Settings(), TrainingSettings()], ids=["search", "training"])
def test_reference_shows_every_default(settings: Settings | TrainingSettings, tool: ModuleType) -> None:
    shown = {
        (setting.path, setting.default)
        for part in tool.all_sections()
        for section in part
        for setting in section.settings
    }
    for path, value in leaves(settings.model_dump()):
        assert (path, tool.default_text(value)) in shown


def leaves(data: dict[str, object], prefix: str = "") -> list[tuple[str, object]]:
    """Returns the settings with their values by path; an empty table counts as a value."""
    flat = []
    for name, value in data.items():
        if isinstance(value, dict) and value:
            flat += leaves(value, f"{prefix}{name}.")
        elif f"{prefix}{name}" not in ("policies", "prices"):
            flat.append((f"{prefix}{name}", value))
    return flat


def test_field_without_a_docstring_is_reported(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "descriptions", lambda model: {})
    assert {"seed", "vllm.temperature", "train.every"} <= set(tool.undocumented())
    with pytest.raises(SystemExit, match="No description for seed, samplers"):
        tool.main()
