"""Checks that the numbers in settings are within their ranges."""

import math
from collections.abc import Callable, Sequence


def check_ranges(
    options: object,
    *,
    counts: Sequence[str] = (),
    positive: Sequence[str] = (),
    from_zero: Sequence[str] = (),
    shares: Sequence[str] = (),
) -> None:
    """Checks numeric fields of `options`, given by name. None is always accepted.

    Args:
        options: the object whose fields are checked.
        counts: fields that must be at least 1.
        positive: fields that must be more than 0, and finite.
        from_zero: fields that must be 0 or more, and finite.
        shares: fields that must be more than 0 and at most 1.

    Raises:
        ValueError: a field is out of range; the message names the first one.
    """
    kinds: tuple[tuple[Sequence[str], Callable[[float], bool], str], ...] = (
        (counts, lambda value: value >= 1, "at least 1"),
        (positive, lambda value: 0 < value < math.inf, "a positive number"),
        (from_zero, lambda value: 0 <= value < math.inf, "0 or more"),
        (shares, lambda value: 0 < value <= 1, "more than 0 and at most 1"),
    )
    for names, in_range, requirement in kinds:
        for name in names:
            value = getattr(options, name)
            if value is not None and not in_range(value):
                raise ValueError(f"{name} = {value}: must be {requirement}")
