"""How many evaluators one driver keeps busy: candidates a second against evaluators that sleep 50 ms each.

    python -m benchmarks.scale [--evaluators 1,4,16,64,128,256,400] [--seconds 20] [--sleep 0.05]

A real search with a real database; only the model and the evaluations take no processor time. Evaluators are slots of
few processes, since sleeping needs no processor; to the driver each is an actor of its own. Prints the efficiency
against evaluators that never wait, how busy the driver is, and what a candidate costs it, by component.
"""

import argparse
import itertools
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil
import ray

from funsearch.cluster.evaluation_queue import Bench, Delivery
from funsearch.cluster.replicas import ActorCrew
from funsearch.cluster.search_workers import RayWorkers
from funsearch.cluster.session import start_ray
from funsearch.core.records import Function, Prompt, Sample
from funsearch.loading import Problem, load_problem
from funsearch.search.search import Search
from funsearch.settings.search import Settings
from funsearch.storage import open_storage
from funsearch.testing.evaluator import SleepingEvaluator

SLOTS = 25
"""Evaluators in one process."""
SAMPLERS = 2


class TirelessSampler:
    """Answers at once with programs that nobody wrote before."""

    def __init__(self) -> None:
        self._numbers = itertools.count(int(time.time_ns() % 10**9) * 10**6)

    def start(self) -> str:
        return "here"

    def stats(self) -> None:
        return None

    def sample(self, prompt: Prompt, at_most: int | None, policy: None = None) -> list[Sample]:
        numbers = itertools.islice(self._numbers, 4 if at_most is None else at_most)
        return [
            Sample(prompt, i, f"    return el[{n % 4}] * {n}.5 - el[0] * el[1]\n", "tireless", "stop", 200, 30)
            for i, n in enumerate(numbers)
        ]


class Hall:
    """A process in which many evaluators sleep."""

    def __init__(self, seconds: float, inputs: tuple[str, ...]) -> None:
        self._benches = [Bench(lambda: SleepingEvaluator(seconds, inputs)) for _ in range(SLOTS)]

    def start(self, slot: int) -> str:
        self._benches[slot].start()
        return "here"

    def exchange(self, slot: int, work: Sequence[tuple[int, Function]], best: float | None, seconds: float) -> Delivery:
        return self._benches[slot].exchange(work, best, seconds)


class Seat:
    """One slot of a hall, called as an evaluator actor is."""

    def __init__(self, hall: Any, slot: int) -> None:
        self.start = _Call(hall.start, slot)
        self.exchange = _Call(hall.exchange, slot)


class _Call:
    def __init__(self, method: Any, slot: int) -> None:
        self._method, self._slot = method, slot

    def remote(self, *arguments: Any) -> Any:
        return self._method.remote(self._slot, *arguments)


class HallCrew:
    """Hires seats, opening halls as needed."""

    def __init__(self, count: int, seconds: float, inputs: tuple[str, ...]) -> None:
        self.count: int | Literal["auto"] = count
        self._wanted = count
        make = ray.remote(Hall).options(num_cpus=0, max_concurrency=SLOTS + 2)
        self._halls = [make.remote(seconds, inputs) for _ in range(-(-count // SLOTS))]
        self._seats = (Seat(hall, slot) for slot in range(SLOTS) for hall in self._halls)

    def wanted(self) -> int:
        return self._wanted

    def hire(self) -> Seat:
        return next(self._seats)

    def dismiss(self, worker: Any) -> None:
        for hall in self._halls:
            ray.kill(hall)
        self._halls = []


class Meter:
    """Processor seconds of this thread by component."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._inner = 0.0

    def watch(self, owner: object, method: str, component: str) -> None:
        """Counts what `owner.method` takes, less what watched methods within it take."""
        inner: Callable[..., Any] = getattr(owner, method)

        def measured(*args: Any, **kwargs: Any) -> Any:
            before, self._inner = self._inner, 0.0
            started = time.thread_time()
            try:
                return inner(*args, **kwargs)
            finally:
                taken = time.thread_time() - started
                self.seconds[component] += taken - self._inner
                self._inner = before + taken

        setattr(owner, method, measured)


@dataclass(frozen=True)
class Figures:
    """One line of the table."""

    rate: float
    busy: float
    """Share of one processor that the driver's thread took."""
    idle: float
    """Processors of the machine that nobody used."""
    cost: Counter[str]
    """Milliseconds of the driver's thread for each candidate."""


def measure(problem: Problem, evaluators: int, sleep: float, seconds: float) -> Figures:
    """Searches with so many evaluators for some time."""
    inputs = tuple(problem.inputs)
    settings = Settings.load(None, ["prompts_in_flight=64"])
    workers = RayWorkers(
        ActorCrew(TirelessSampler, (), {"num_cpus": 0, "max_concurrency": 4}, SAMPLERS),
        HallCrew(evaluators, sleep, inputs),
        60.0,
        problem.name,
    )
    with tempfile.TemporaryDirectory() as folder:
        storage = open_storage(f"sqlite:///{Path(folder) / 'scale.db'}")
        search = Search(problem, storage=storage, settings=settings, workers=workers, name="scale")
        while workers.evaluators < evaluators or workers.samplers < SAMPLERS:
            workers.wait(0.1)
        search.run(max_samples=20 * evaluators)  # every process and every cache is warm
        meter = Meter()
        meter.watch(search._storage, "append", "database on disk")
        meter.watch(search.database, "register", "islands: register")
        meter.watch(search.database, "get_prompt", "islands: prompt")
        meter.watch(search._ledger, "take", "reading answers")
        for method in ("ask", "evaluate", "wait"):
            meter.watch(workers, method, "Ray calls")
        meter.watch(search, "run", "the loop itself")
        before = search.progress().evaluated
        looks: list[tuple[float, int]] = []
        looking = threading.Thread(target=look, args=(search, seconds, looks))
        looking.start()
        started, idle, cpu = time.monotonic(), idle_seconds(), time.thread_time()
        progress = search.run()
        wall = time.monotonic() - started
        busy, idle = (time.thread_time() - cpu) / wall, (idle_seconds() - idle) / wall
        looking.join()
        done = progress.evaluated - before
        search.close()
        storage.close()
    cost = Counter({component: 1000 * spent / done for component, spent in meter.seconds.items()})
    (first, some), (last, all_) = looks[0], looks[-1]
    return Figures((all_ - some) / (last - first), busy, idle, cost)


def look(search: Search, seconds: float, looks: list[tuple[float, int]]) -> None:
    """Reads the clock and the count of candidates, from after the start and stops it."""
    end = time.monotonic() + 0.95 * seconds
    time.sleep(0.15 * seconds)
    while time.monotonic() < end:
        looks.append((time.monotonic(), search.progress().evaluated))
        time.sleep(0.1)
    search.stop()


def idle_seconds() -> float:
    """Returns for how long the machine's processors have been idle, all together."""
    times = psutil.cpu_times()
    return float(times.idle + times.iowait)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluators", default="1,4,16,64,128,256,400", help="numbers, separated by commas")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--sleep", type=float, default=0.05)
    arguments = parser.parse_args()
    problem = load_problem("cap_set", inputs=["n=4"])
    start_ray(None)
    heads = ("evaluators", "candidates/s", "at most", "efficiency", "driver busy", "CPUs idle")
    print(" ".join(f"{head:>12}" for head in heads))
    figures = None
    best = 0.0
    for evaluators in map(int, arguments.evaluators.split(",")):
        figures = measure(problem, evaluators, arguments.sleep, arguments.seconds)
        most = evaluators / arguments.sleep
        best = max(best, figures.rate)
        print(
            f"{evaluators:12} {figures.rate:12.0f} {most:12.0f} {figures.rate / most:12.2f} {figures.busy:12.2f} "
            f"{figures.idle:12.2f}",
            flush=True,
        )
    print(f"most: {best:.0f} candidates/s")
    assert figures is not None
    cost = figures.cost
    print("driver, CPU ms a candidate, last line:")
    for component, milliseconds in cost.most_common():
        print(f"  {component:<20} {milliseconds:6.3f}")
    print(f"  {'all':<20} {sum(cost.values()):6.3f}")


if __name__ == "__main__":
    main()
