"""Refuses settings that cannot be meant."""

import math
from collections.abc import Callable, Sequence
from typing import Any


def check_ranges(
    options: Any,
    *,
    counts: Sequence[str] = (),
    positive: Sequence[str] = (),
    from_zero: Sequence[str] = (),
    shares: Sequence[str] = (),
) -> None:
    """Looks at numbers by the names of their fields; None is always meant.

    Args:
        options: whose fields they are.
        counts: at least 1.
        positive: more than 0, and finite.
        from_zero: 0 or more, and finite.
        shares: more than 0 and at most 1.

    Raises:
        ValueError: names the first that is not.
    """
    kinds: tuple[tuple[Sequence[str], Callable[[float], bool], str], ...] = (
        (counts, lambda value: value >= 1, "at least 1"),
        (positive, lambda value: 0 < value < math.inf, "a positive number"),
        (from_zero, lambda value: 0 <= value < math.inf, "0 or more"),
        (shares, lambda value: 0 < value <= 1, "more than 0 and at most 1"),
    )
    for names, fits, wanted in kinds:
        for name in names:
            value = getattr(options, name)
            if value is not None and not fits(value):
                raise ValueError(f"{name} = {value}: must be {wanted}")
