"""Packs n circles without overlap into the unit square so that the sum of their radii is large."""

import numpy as np

import funsearch


def solve(n: int) -> np.ndarray:
    """Returns circles as rows x, y, r, with the largest sum of radii for the centres that `place` returns."""
    centres = np.array(place(n), dtype=float).reshape(n, 2)
    return np.column_stack([centres, largest_radii(centres)])


def largest_radii(centres: np.ndarray) -> np.ndarray:
    """Returns the radii with the largest sum, up to rounding, of circles that neither overlap nor leave the square.

    Raises:
        ValueError: a circle has no room at all.
    """
    first, second = np.triu_indices(len(centres), 1)
    walls = np.minimum(centres, 1 - centres).min(axis=1)
    apart = np.hypot(*(centres[first] - centres[second]).T)
    if not ((walls > 0).all() and (apart > 0).all()):
        raise ValueError("a centre is not inside the unit square, or two centres coincide")
    # No radius may vanish: each is at least a hundredth of the largest radius beside an equal neighbour.
    least = walls.copy()
    np.minimum.at(least, first, apart / 2)
    np.minimum.at(least, second, apart / 2)
    least *= 0.01
    own = np.eye(len(centres))
    limits = np.concatenate([walls - least, apart - least[first] - least[second]])
    radii = least + largest_sum(np.vstack([own, own[first] + own[second]]), limits)
    # Shrinks all radii if rounding exceeded a limit, and a little more to allow for the rounding of this step.
    fit = min(np.min(walls / radii), np.min(apart / (radii[first] + radii[second]), initial=1.0), 1.0)
    shrunk: np.ndarray = radii * (fit * (1 - 2.0**-48))
    return shrunk


def largest_sum(rows: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Returns the x >= 0 with the largest sum such that rows @ x <= limits, for limits >= 0.

    Uses the simplex method with Bland's rule.
    """
    count = rows.shape[1]
    table = np.block([[rows, limits[:, None]], [np.full((1, count), -1.0), np.zeros((1, 1))]])
    free, basic = np.arange(count), np.arange(count, count + len(rows))
    for _ in range(100 * count):
        rising = np.flatnonzero(table[-1, :-1] < -1e-12)
        if not len(rising):
            break
        column = rising[np.argmin(free[rising])]
        falling = np.flatnonzero(table[:-1, column] > 1e-12)
        steps = table[falling, -1] / table[falling, column]
        nearest = falling[steps <= steps.min() + 1e-15]
        row = nearest[np.argmin(basic[nearest])]
        pivot, line = table[row, column], table[row] / table[row, column]
        changed = -table[:, column] / pivot
        table -= np.outer(table[:, column], line)
        table[row], table[:, column], table[row, column] = line, changed, 1 / pivot
        free[column], basic[row] = basic[row], free[column]
    solution = np.zeros(count + len(rows))
    solution[basic] = table[:-1, -1]
    return np.maximum(solution[:count], 0.0)


@funsearch.evolve
def place(n: int) -> np.ndarray:
    """Returns the centres of `n` circles, an array of shape (n, 2); each circle then gets the best radius there is."""
    columns = round(n**0.5)
    row, column = np.divmod(np.arange(n), columns)
    return np.column_stack([(column + 0.375 + 0.25 * (row % 2)) / columns, (row + 0.5) / np.ceil(n / columns)])
