"""Sidon sets: verifies the subset of {1, ..., n} that a candidate builds and scores its size.

All sums a + b with a <= b are distinct, or, equivalently, all differences: the set is a Golomb ruler of length at
most n - 1. Constructions by Singer, Bose and Ruzsa give about sqrt(n) elements, and no set has more than
sqrt(n) + O(n^(1/4)) (Erdős and Turán). The best known sizes come from the shortest known rulers (J. B. Shearer's
table, OEIS A003022):

    n                    250   500   1000
    best known            19    26     35    proven to be the largest for 250 and 500
    first program         16    21     28    from both ends inwards
    Mian-Chowla           15    20     27    always the smallest number that fits, OEIS A005282
    Ruzsa                 13    22     30    for the largest suitable prime
"""

from typing import Any

import funsearch

LARGEST = 20_000
"""Largest n: the skeleton calls the priority function for each number up to n."""


class SidonSet(funsearch.ProblemEvaluator):
    """Scores a candidate's `solve(n)` by the number of its elements."""

    inputs = {"n500": 500}
    heldout = {"n250": 250, "n1000": 1000}
    baselines = {
        "Mian-Chowla": "def priority(x, n):\n    return -float(x)\n",
        # The x with g^x = x modulo a prime p, for a primitive root g, are p - 1 elements of each p(p - 1) numbers.
        "Ruzsa": """\
def priority(x, n):
    p = max(p for p in range(2, n + 2) if (p - 1) ** 2 <= n and all(p % d for d in range(2, p)))
    g = next(g for g in range(1, p) if len({pow(g, k, p) for k in range(p - 1)}) == p - 1)
    return float(pow(g, x, p) == x % p)
""",
    }

    def evaluate(self, candidate: funsearch.Candidate, value: Any) -> float:
        """Returns the size of the Sidon subset of {1, ..., `value`} that the candidate builds."""
        return float(verified_size(candidate.solve(value), value))

    def draw(self, candidate: funsearch.Candidate, value: Any) -> Any:
        """Draws the elements on a line, and their differences, all distinct, below it."""
        from matplotlib.figure import Figure

        elements = candidate.solve(value)
        size = verified_size(elements, value)
        differences = [abs(a - b) for index, a in enumerate(elements) for b in elements[:index]]
        figure = Figure(figsize=(9, 2.4), layout="constrained")
        axes = figure.add_subplot(title=f"Sidon set in 1 ... {value}: {size} elements", xlim=(0, value + 1))
        axes.eventplot([elements, differences], lineoffsets=[1, 0], linelengths=0.8, colors=["#0072b2", "#d55e00"])
        axes.set(yticks=[1, 0], yticklabels=["elements", f"{len(differences)} differences"])
        return figure

    def check_input(self, value: Any) -> int:
        """Returns the largest number allowed in a set."""
        if type(value) is not int or not 1 <= value <= LARGEST:
            raise ValueError(f"{value!r:.80} is not a valid n: give an integer from 1 to {LARGEST}")
        return value


def verified_size(elements: Any, n: int) -> int:
    """Returns the number of elements.

    Raises:
        InvalidSolution: they are not distinct integers from 1 to n with distinct pairwise sums.
    """
    if not isinstance(elements, list):
        raise funsearch.InvalidSolution(f"expected a list, got {type(elements).__name__}")
    if len(elements) > n:
        raise funsearch.InvalidSolution(f"{len(elements)} elements; at most {n} are possible")
    for element in elements:
        if type(element) is not int or not 1 <= element <= n:
            raise funsearch.InvalidSolution(f"not an integer from 1 to {n}: {element!r:.80}")
    if len(set(elements)) != len(elements):
        raise funsearch.InvalidSolution("an element occurs twice")
    pairs: dict[int, tuple[int, int]] = {}
    # There are fewer than 2n sums, so this ends after that many pairs, however long the list is.
    for index, a in enumerate(elements):
        for b in elements[: index + 1]:
            if a + b in pairs:
                c, d = pairs[a + b]
                raise funsearch.InvalidSolution(f"two equal sums: {a} + {b} = {c} + {d}")
            pairs[a + b] = a, b
    return len(elements)
