"""Orders the jobs of a permutation flow shop so that the last is done early: each passes machine 0, 1, ... in turn."""

import numpy as np

import funsearch


def solve(times: np.ndarray) -> list[int]:
    """Returns an order of the jobs: inserts them by descending priority, each where the makespan grows least."""
    priorities = np.array([priority(job, times) for job in range(len(times))], dtype=float)
    order = np.zeros(0, dtype=int)
    for job in np.argsort(-priorities, kind="stable"):
        orders = np.array([np.insert(order, place, job) for place in range(len(order) + 1)])
        order = orders[makespans(orders, times).argmin()]
    return order.tolist()


def makespans(orders: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Returns the makespan of each of several orders of the same jobs."""
    ends = [np.zeros(len(orders), dtype=int)] * (times.shape[1] + 1)
    for jobs in orders.T:
        for machine, work in enumerate(times[jobs].T):
            ends[machine + 1] = np.maximum(ends[machine + 1], ends[machine]) + work
    return ends[-1]


@funsearch.evolve
def priority(job: int, times: np.ndarray) -> float:
    """Returns the priority with which to insert `job` into the order, given `times[job, machine]` of all jobs."""
    work = times[job]
    return float(work.sum())
