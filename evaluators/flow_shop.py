"""Permutation flow shops: all machines process the jobs in the same order, which a candidate chooses.

A score is minus the excess of the makespan over Taillard's lower bound, in percent, as a mean over the instances of an
input. The bound is the larger of two values: the length of the longest job, and the maximum over the machines of the
machine's total work plus the least time before a job can reach it plus the least time that a job needs after it (E.
Taillard, "Benchmarks for basic scheduling problems", EJOR 64, 1993). Instances are generated like Taillard's, with
other seeds.

The distance of the bound from the optimum is not known. Scores, of which those of iterated greedy are not
proven to be optimal:

                                        20x5      20x10
    iterated greedy                    -1.03      -7.52    700 rounds (Ruiz and Stützle, EJOR 177, 2007)
    first program                      -2.24     -11.20    largest total time first: NEH (Nawaz, Enscore, Ham, 1983)
    mean and deviation                 -2.13     -11.14    (Dong, Huang, Chen, 2008)
    Kalczynski and Kamburowski         -1.86     -11.51    NEHKK1 without its tie-breaking rule (2008)
    as they come                       -3.63     -11.40
    shortest total first               -4.60     -14.89
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

import funsearch

LONGEST_TIME = 1_000_000
MAX_JOBS, MAX_MACHINES = 200, 20
"""As in Taillard's larger instances; the time to insert all jobs grows with the cube of their number."""


def taillard_like(instances: int, jobs: int, machines: int, seed: int) -> list[np.ndarray]:
    """Returns instances generated like Taillard's, as `times[job, machine]`: integers uniform in [1, 99]."""
    rng = np.random.default_rng(seed)
    return [rng.integers(1, 100, (jobs, machines)) for _ in range(instances)]


class FlowShop(funsearch.ProblemEvaluator):
    """Scores a candidate's `solve(times)` by the makespan of its order of the jobs."""

    inputs = {"20x5": taillard_like(10, 20, 5, seed=1), "20x10": taillard_like(10, 20, 10, seed=2)}
    selection = {"20x5": taillard_like(20, 20, 5, seed=51), "20x10": taillard_like(20, 20, 10, seed=52)}
    heldout = {
        "other20x5": taillard_like(20, 20, 5, seed=101),
        "other20x10": taillard_like(20, 20, 10, seed=102),
        "50x10": taillard_like(5, 50, 10, seed=103),
    }
    reduction = "mean"
    baselines = {
        "NEH": "def priority(job, times):\n    return times[job].sum()\n",
        "shortest total first": "def priority(job, times):\n    return -times[job].sum()\n",
        "as they come": "def priority(job, times):\n    return 0.0\n",
        "mean and deviation": "def priority(job, times):\n    return times[job].mean() + times[job].std(ddof=1)\n",
        "Kalczynski and Kamburowski": """\
def priority(job, times):
    m = times.shape[1]
    weights = (m - 1) * (m - 2) / 2 + np.arange(m)
    return min(weights @ times[job], weights[::-1] @ times[job])
""",
    }

    def evaluate(self, candidate: funsearch.Candidate, value: Sequence[np.ndarray]) -> float:
        """Returns minus the mean excess over the bound, in percent."""
        excess = 0.0
        for times in value:
            bound = lower_bound(times)
            excess += (makespan(verified_order(candidate.solve(times), len(times)), times) - bound) / bound
        return -100.0 * excess / len(value)

    def draw(self, candidate: funsearch.Candidate, value: Sequence[np.ndarray]) -> Any:
        """Draws the schedule of the first instance of `value` as a Gantt chart."""
        from matplotlib import colormaps
        from matplotlib.figure import Figure

        times = value[0]
        order = verified_order(candidate.solve(times), len(times))
        ends = schedule(order, times)
        excess = 100.0 * (ends[-1, -1] / lower_bound(times) - 1.0)
        figure = Figure(figsize=(9, 1 + 0.35 * times.shape[1]), layout="constrained")
        title = (
            f"{len(times)} jobs, instance 1 of {len(value)}: makespan {ends[-1, -1]}, {excess:.2f} % above the bound"
        )
        axes = figure.add_subplot(
            title=title,
            xlabel="time (the darker, the earlier in the order)",
            ylabel="machine",
            yticks=range(times.shape[1]),
        )
        for place, job in enumerate(order):
            shade = colormaps["cividis"](place / len(order))
            axes.barh(
                range(times.shape[1]),
                times[job],
                left=ends[place] - times[job],
                color=shade,
                edgecolor="white",
                linewidth=0.5,
            )
        axes.invert_yaxis()
        return figure

    def read_input(self, text: str) -> Any:
        """Returns the parsed JSON."""
        return json.loads(text)

    def check_input(self, value: Any) -> list[np.ndarray]:
        """Returns the instances of a list of lists of times, one for each job, or of a list of such instances."""
        if not isinstance(value, list | tuple) or not value:
            raise ValueError(f"an instance is a list of jobs, each a list of times on the machines, not {value!r:.80}")
        jobs = value[0]
        is_list = isinstance(jobs, list | tuple) and jobs and isinstance(jobs[0], list | tuple)
        return [read_instance(instance) for instance in (value if is_list else [value])]


def read_instance(value: Any) -> np.ndarray:
    """Returns the times of a list of jobs.

    Raises:
        ValueError: the jobs differ in their number of times, or a time is not a positive integer.
    """
    if not isinstance(value, list | tuple) or not value or not all(isinstance(job, list | tuple) for job in value):
        raise ValueError(f"an instance is a list of jobs, each a list of times on the machines, not {value!r:.80}")
    jobs, machines = len(value), len(value[0])
    if any(len(job) != machines for job in value):
        raise ValueError("the jobs have different numbers of machines")
    if jobs > MAX_JOBS or not 1 <= machines <= MAX_MACHINES:
        raise ValueError(f"{jobs} jobs on {machines} machines: give at most {MAX_JOBS} on 1 to {MAX_MACHINES}")
    for time in (time for job in value for time in job):
        if type(time) is not int or not 1 <= time <= LONGEST_TIME:
            raise ValueError(f"the time {time!r:.80} is not an integer from 1 to {LONGEST_TIME}")
    return np.array(value, dtype=np.int64)


def verified_order(order: Any, jobs: int) -> list[int]:
    """Returns an order of the jobs.

    Raises:
        InvalidSolution: it does not name each job once.
    """
    if not isinstance(order, list):
        raise funsearch.InvalidSolution(f"expected a list, got {type(order).__name__}")
    if len(order) != jobs:
        raise funsearch.InvalidSolution(f"{len(order)} jobs in the order instead of {jobs}")
    for job in order:
        if type(job) is not int or not 0 <= job < jobs:
            raise funsearch.InvalidSolution(f"not a job from 0 to {jobs - 1}: {job!r:.80}")
    if len(set(order)) != jobs:
        raise funsearch.InvalidSolution("a job occurs twice")
    return order


def makespan(order: list[int], times: np.ndarray) -> int:
    """Returns the time at which the last job leaves the last machine."""
    ends = [0] * times.shape[1]
    for job in order:
        free = 0
        for machine, time in enumerate(times[job].tolist()):
            free = ends[machine] = max(free, ends[machine]) + time
    return ends[-1]


def schedule(order: list[int], times: np.ndarray) -> np.ndarray:
    """Returns the time at which each job leaves each machine, as `ends[position in the order, machine]`."""
    ends = np.zeros((len(order) + 1, times.shape[1] + 1), dtype=np.int64)
    for place, job in enumerate(order, 1):
        for machine, time in enumerate(times[job], 1):
            ends[place, machine] = max(ends[place - 1, machine], ends[place, machine - 1]) + time
    return ends[1:, 1:]


def lower_bound(times: np.ndarray) -> int:
    """Returns Taillard's bound: no order has a smaller makespan."""
    done = times.cumsum(axis=1)
    heads = (done - times).min(axis=0)
    tails = (done[:, -1:] - done).min(axis=0)
    return int(max((heads + times.sum(axis=0) + tails).max(), done[:, -1].max()))
