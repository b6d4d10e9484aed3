"""Reads settings: from a TOML file and `KEY=VALUE`, checked against a model, with messages that name the path.

Knows nothing about what the settings mean.
"""

import ast
import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from funsearch.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


def checked_model(model: type[Model], data: Mapping[str, Any]) -> Model:
    """Returns validated settings. See `Settings.checked`."""
    _refuse_unknown(model, data)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        if first["type"] == "value_error":  # of a part as a whole, which names the field itself
            raise ConfigError(f"{path}{'.' if path else ''}{first['ctx']['error']}.") from None
        raise ConfigError(f"{path} = {first['input']!r}: {first['msg']}.") from None


def gathered(
    config: Path | None, assignments: Sequence[str], options: Mapping[str, Any], start: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Returns the data of settings: `start`, a TOML file, assignments, and options whose paths are joined by `__`."""
    data = {**(start or {}), **(_read_toml(config) if config else {})}
    for assignment in assignments:
        _assign(data, *_split(assignment))
    for path, value in options.items():
        if value is not None:
            _assign(data, path.split("__"), value)
    return data


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Cannot read the settings file {path}: {error}.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}.") from None


def _split(assignment: str) -> tuple[list[str], Any]:
    path, equals, value = assignment.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f"--set {assignment}: write KEY=VALUE, as in --set database.islands=4.")
    try:
        parsed = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        parsed = {"true": True, "false": False, "none": None}.get(value.lower(), value)
    return path.strip().split("."), parsed


def _assign(data: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for part in path[:-1]:
        section = data.setdefault(part, {})
        if not isinstance(section, dict):
            raise ConfigError(f"{'.'.join(path)}: {part} is a value, not a section.")
        data = section
    data[path[-1]] = value


def _refuse_unknown(model: type, data: Mapping[str, Any], prefix: str = "") -> None:
    known = _field_types(model)
    for key, value in data.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known are {', '.join(sorted(known))}."
            raise ConfigError(f"Unknown setting {prefix}{key}: {hint}")
        section = known[key]
        if isinstance(section, type) and (is_dataclass(section) or issubclass(section, BaseModel)):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{prefix}{key} = {value!r}: {key} is a section; set {prefix}{key}.NAME.")
            _refuse_unknown(section, value, f"{prefix}{key}.")


def _field_types(model: type) -> dict[str, Any]:
    if issubclass(model, BaseModel):
        return {name: field.annotation for name, field in model.model_fields.items()}
    return {field.name: field.type for field in fields(model)}  # type: ignore[arg-type]
