"""Makes records of rows. Knows nothing about which records and which tables there are."""

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


def record(kind: type[Record], *row: object) -> Record:
    """Returns a record with the values of a row, in the order of its fields; the rest keep their defaults."""
    return kind(**dict(zip(_names(kind), row, strict=False)))


@cache
def _names(kind: type[Record]) -> Sequence[str]:
    return tuple(field.name for field in fields(kind))
