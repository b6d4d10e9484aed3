"""Reads settings from a TOML file and `KEY=VALUE` assignments and validates them; error messages name the path.

Knows nothing about what the settings mean, except for the former names of renamed settings.
"""

import ast
import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from funsearch.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
SettingsLike = BaseModel | Mapping[str, object] | str | Path
"""Settings as Python callers give them: a dict with sections, or the path of a TOML file."""

RENAMED: Mapping[str, str] = {
    "tasks.held": "tasks.heldout",
    "gate.pass_one": "gate.pass_at_1",
    "trainer.accumulate": "trainer.gradient_accumulation_steps",
}
"""Former and present paths of settings. A path also applies within another section, as in `train.tasks.held`."""


def checked_model(model: type[Model], data: Mapping[str, object]) -> Model:
    """Returns validated settings; former names of settings are accepted. See `Settings.checked`."""
    current = _with_current_names(data)
    _refuse_unknown(model, current)
    try:
        return model.model_validate(current)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        if first["type"] == "value_error":  # raised by a section as a whole, whose message names the field itself
            raise ConfigError(f"{path}{'.' if path else ''}{first['ctx']['error']}.") from None
        raise ConfigError(f"{path} = {first['input']!r}: {first['msg']}.") from None


def gathered(config: Path | None, assignments: Sequence[str], options: Mapping[str, object]) -> dict[str, object]:
    """Returns the settings in a TOML file, overridden by assignments, then by options.

    The parts of an option's path are joined by `__`. Options that are None are ignored.

    Raises:
        ConfigError: the file cannot be read, or an assignment is malformed.
    """
    data = _read_toml(config) if config else {}
    for assignment in assignments:
        _assign(data, *_split(assignment))
    for path, value in options.items():
        if value is not None:
            _assign(data, path.split("__"), value)
    return data


def gathered_from(settings: SettingsLike | None, options: Mapping[str, object]) -> dict[str, object]:
    """Returns settings that were given from Python, overridden by options. See `gathered`.

    Raises:
        ConfigError: `settings` is none of the accepted types, or its file cannot be read.
    """
    match settings:
        case None:
            start: dict[str, object] = {}
        case BaseModel():
            start = settings.model_dump()
        case Mapping():
            start = {
                str(name): dict(value) if isinstance(value, Mapping) else value for name, value in settings.items()
            }
        case str() | Path():
            start = _read_toml(Path(settings))
        case _:
            raise ConfigError(f"settings = {settings!r:.80}: give a dict of settings, or the path of a TOML file.")
    for path, value in options.items():
        if value is not None:
            _assign(start, path.split("__"), value)
    return start


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Cannot read the settings file {path}: {error}.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}.") from None


def _split(assignment: str) -> tuple[list[str], object]:
    path, equals, value = assignment.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f"--set {assignment}: write KEY=VALUE, as in --set database.islands=4.")
    parsed: object
    try:
        parsed = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        parsed = {"true": True, "false": False, "none": None}.get(value.lower(), value)
    return path.strip().split("."), parsed


def _assign(data: dict[str, object], path: Sequence[str], value: object) -> None:
    for part in path[:-1]:
        section = data.setdefault(part, {})
        if not isinstance(section, dict):
            raise ConfigError(f"{'.'.join(path)}: {part} is a value, not a section.")
        data = section
    data[path[-1]] = value


def _with_current_names(data: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Returns the data with the settings in `RENAMED` under their present names.

    Raises:
        ConfigError: a setting is given under both names.
    """
    current: dict[str, object] = {}
    for key, value in data.items():
        path = f"{prefix}{key}"
        name = next((new.split(".")[-1] for old, new in RENAMED.items() if f".{path}".endswith(f".{old}")), key)
        if name != key and name in data:
            raise ConfigError(f"{path} is the former name of {prefix}{name}: give only {prefix}{name}.")
        current[name] = _with_current_names(value, f"{path}.") if isinstance(value, Mapping) else value
    return current


def _refuse_unknown(model: type, data: Mapping[str, object], prefix: str = "") -> None:
    """Refuses keys that the model or one of its sections does not have.

    Raises:
        ConfigError: names the path of the key and the nearest valid one.
    """
    known = _field_types(model)
    for key, value in data.items():
        if key not in known:
            raise ConfigError(f"Unknown setting {prefix}{key}: {_hint(key, known, prefix)}")
        section = known[key]
        if not isinstance(section, type) or not (is_dataclass(section) or issubclass(section, BaseModel)):
            continue
        if isinstance(value, Mapping):
            _refuse_unknown(section, value, f"{prefix}{key}.")
        elif not isinstance(value, section):
            raise ConfigError(f"{prefix}{key} = {value!r}: {key} is a section; set {prefix}{key}.NAME.")


def _hint(key: str, known: Iterable[str], prefix: str) -> str:
    near = difflib.get_close_matches(key, list(known), n=1)
    if near:
        return f"did you mean {prefix}{near[0]}?"
    section = prefix.removesuffix(".")
    return f"the settings{f' in {section}' if section else ''} are {', '.join(sorted(known))}."


def _field_types(model: type) -> dict[str, object]:
    if issubclass(model, BaseModel):
        return {name: field.annotation for name, field in model.model_fields.items()}
    assert is_dataclass(model)
    return {field.name: field.type for field in fields(model)}
