"""Finds large subsets of 0 ... n-1 without three numbers in arithmetic progression."""

import funsearch


@funsearch.run
def evaluate(n: int) -> int:
    """Returns the size of the subset that is found."""
    return len(solve(n))


def solve(n: int) -> list[int]:
    """Takes numbers by priority as long as no progression comes up."""
    chosen = []
    for number in sorted(range(n), key=lambda k: -priority(k, n)):
        steps = range(-n, n + 1)
        if not any(d and number + d in chosen and number + 2 * d in chosen for d in steps) and not any(
            number - d in chosen and number + d in chosen for d in range(1, n)
        ):
            chosen.append(number)
    return chosen


@funsearch.evolve
def priority(k: int, n: int) -> float:
    """Returns the priority with which to take k."""
    if k == 0:
        return 1.0
    return priority(k // 2, n) / 2
