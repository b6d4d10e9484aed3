"""Builds a short round trip through points of the plane, city by city; distances are Euclidean."""

import numpy as np

import funsearch


def solve(coordinates: np.ndarray) -> list[int]:
    """Returns a tour: starts in city 0 and always continues to the unvisited city with the highest priority."""
    steps = coordinates[:, None] - coordinates[None, :]
    distances = np.sqrt((steps**2).sum(axis=2))
    tour, unvisited = [0], np.arange(1, len(coordinates))
    while len(unvisited):
        between = distances[np.ix_(unvisited, unvisited)]
        priorities = priority(distances[tour[-1], unvisited], distances[0, unvisited], between)
        place = int(np.argmax(np.reshape(priorities, len(unvisited))))
        tour.append(int(unvisited[place]))
        unvisited = np.delete(unvisited, place)
    return tour


@funsearch.evolve
def priority(to_current: np.ndarray, to_start: np.ndarray, between: np.ndarray) -> np.ndarray:
    """Returns each unvisited city's priority to be next, from its distances to the last, the first and each other."""
    penalty = to_current
    return -penalty
