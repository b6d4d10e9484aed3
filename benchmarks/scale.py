"""Measures how many evaluators one driver keeps busy: candidates per second with evaluators that sleep 50 ms each.

    python -m benchmarks.scale [--evaluators 1,4,16,64,128,256,400] [--seconds 20] [--sleep 0.05]

Runs a real search with a real database, in which the model and the evaluations take no processor time. As sleeping
needs none, many evaluators share a process; to the driver each one is an actor of its own. Prints the efficiency
relative to evaluators that never wait, how busy the driver is, and what a candidate costs it, by component.
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
from typing import Any, Generic, Literal, TypeVar

import psutil
import ray

from funsearch.cluster.actors import SamplerHandle
from funsearch.cluster.evaluation_queue import EvaluationQueue, ExchangeResult
from funsearch.cluster.handles import Ref
from funsearch.cluster.replicas import ActorReplicas
from funsearch.cluster.search_workers import RayWorkers
from funsearch.cluster.session import start_ray
from funsearch.core.completions import Completion, Request
from funsearch.core.records import Function
from funsearch.loading import Problem, load_problem
from funsearch.search.loop import Budget, SearchLoop
from funsearch.search.runs import new_run
from funsearch.settings.search import Settings
from funsearch.storage import open_storage
from funsearch.testing.evaluator import SleepingEvaluator

T = TypeVar("T")

SLOTS = 25
"""Evaluators in one process."""
SAMPLERS = 2


class InstantSampler:
    """An actor that answers at once with new programs."""

    def __init__(self) -> None:
        self._numbers = itertools.count(int(time.time_ns() % 10**9) * 10**6)

    def start(self) -> str:
        return "here"

    def stats(self) -> None:
        return None

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        return [[self._completion() for _ in range(request.count)] for request in requests]

    def _completion(self) -> Completion:
        number = next(self._numbers)
        text = f"    return el[{number % 4}] * {number}.5 - el[0] * el[1]\n"
        return Completion(text=text, model="instant", finish_reason="stop", prompt_tokens=200, tokens=30)


class SharedProcess:
    """An actor in which many evaluators sleep."""

    def __init__(self, seconds: float, inputs: tuple[str, ...]) -> None:
        self._queues = [EvaluationQueue(lambda: SleepingEvaluator(seconds, inputs)) for _ in range(SLOTS)]

    def start(self, slot: int) -> str:
        self._queues[slot].start()
        return "here"

    def exchange(
        self, slot: int, functions: Sequence[tuple[int, Function]], best: float | None, seconds: float
    ) -> ExchangeResult:
        return self._queues[slot].exchange(functions, best, seconds)


class Slot:
    """One evaluator of a shared process, with the interface of an evaluator actor."""

    def __init__(self, process: Any, slot: int) -> None:
        self.start: _SlotMethod[str] = _SlotMethod(process.start, slot)
        self.exchange: _SlotMethod[ExchangeResult] = _SlotMethod(process.exchange, slot)


class _SlotMethod(Generic[T]):
    def __init__(self, method: Any, slot: int) -> None:
        self._method, self._slot = method, slot

    def remote(self, *arguments: object) -> Ref[T]:
        call: Ref[T] = self._method.remote(self._slot, *arguments)
        return call


class SlotReplicas:
    """A fixed number of slots in as many processes as they need."""

    def __init__(self, count: int, seconds: float, inputs: tuple[str, ...]) -> None:
        self.count: int | Literal["auto"] = count
        self._wanted = count
        make = ray.remote(SharedProcess).options(num_cpus=0, max_concurrency=SLOTS + 2)
        self._processes = [make.remote(seconds, inputs) for _ in range(-(-count // SLOTS))]
        self._slots = (Slot(process, slot) for slot in range(SLOTS) for process in self._processes)

    def wanted(self) -> int:
        return self._wanted

    def start(self) -> Slot:
        return next(self._slots)

    def stop(self, actor: object) -> None:
        for process in self._processes:
            ray.kill(process)
        self._processes = []


class Meter:
    """Processor seconds of this thread by component."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._inner = 0.0

    def measure(self, owner: object, method: str, component: str) -> None:
        """Measures `owner.method`, without the measured methods that it calls itself."""
        inner: Callable[..., object] = getattr(owner, method)

        def measured(*args: object, **kwargs: object) -> object:
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
    """Candidates per second."""
    busy: float
    """Share of one processor that the driver's thread used."""
    idle: float
    """Number of processors of the machine that were idle."""
    cost: Counter[str]
    """Milliseconds of the driver's thread per candidate, by component."""


def measure(problem: Problem, evaluators: int, sleep: float, seconds: float) -> Figures:
    """Returns the figures of a search with a number of evaluators."""
    settings = Settings.load(None, ["prompts_in_flight=64"])
    workers = RayWorkers(
        ActorReplicas[SamplerHandle](InstantSampler, (), {"num_cpus": 0, "max_concurrency": 4}, SAMPLERS),
        SlotReplicas(evaluators, sleep, tuple(problem.inputs)),
        60.0,
        problem.name,
    )
    with tempfile.TemporaryDirectory() as folder:
        storage = open_storage(f"sqlite:///{Path(folder) / 'scale.db'}")
        run = new_run(problem, settings, storage, "none", "scale", time.time())
        search = SearchLoop(run, problem, settings, storage)
        while workers.evaluators < evaluators or workers.samplers < SAMPLERS:
            workers.wait(0.1)
        search.run(Budget(samples=20 * evaluators), workers)  # warms up every process and every cache
        meter = Meter()
        meter.measure(storage, "append", "database on disk")
        meter.measure(search.database, "register", "islands: register")
        meter.measure(search.database, "get_prompt", "islands: prompt")
        meter.measure(search.ledger, "record_samples", "reading answers")
        for method in ("sample", "evaluate", "wait"):
            meter.measure(workers, method, "Ray calls")
        meter.measure(search, "run", "the loop itself")
        figures = _measured(search, workers, seconds, meter)
        workers.close()
        storage.close()
    return figures


def _measured(search: SearchLoop, workers: RayWorkers, seconds: float, meter: Meter) -> Figures:
    """Returns the figures of a search that has warmed up and runs for a while."""
    before = search.progress().evaluated
    points: list[tuple[float, int]] = []
    reading = threading.Thread(target=read_counts, args=(search, seconds, points))
    reading.start()
    started, idle, cpu = time.monotonic(), idle_seconds(), time.thread_time()
    progress = search.run(Budget(), workers)
    wall = time.monotonic() - started
    busy, idle = (time.thread_time() - cpu) / wall, (idle_seconds() - idle) / wall
    reading.join()
    evaluated = progress.evaluated - before
    cost = Counter({component: 1000 * spent / evaluated for component, spent in meter.seconds.items()})
    (first_time, first_count), (last_time, last_count) = points[0], points[-1]
    return Figures((last_count - first_count) / (last_time - first_time), busy, idle, cost)


def read_counts(search: SearchLoop, seconds: float, points: list[tuple[float, int]]) -> None:
    """Records the time and the number of candidates, from shortly after the start; then stops the search."""
    end = time.monotonic() + 0.95 * seconds
    time.sleep(0.15 * seconds)
    while time.monotonic() < end:
        points.append((time.monotonic(), search.progress().evaluated))
        time.sleep(0.1)
    search.stop()


def idle_seconds() -> float:
    """Returns the idle seconds of all processors of the machine together."""
    times = psutil.cpu_times()
    return float(times.idle + times.iowait)


def main() -> None:
    """Runs the benchmark and prints its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluators", default="1,4,16,64,128,256,400", help="numbers, separated by commas")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--sleep", type=float, default=0.05)
    arguments = parser.parse_args()
    problem = load_problem("cap_set", inputs=["n=4"])
    start_ray(None)
    heads = ("evaluators", "candidates/s", "limit", "efficiency", "driver busy", "CPUs idle")
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
    print(f"maximum: {best:.0f} candidates/s")
    assert figures is not None
    cost = figures.cost
    print("CPU ms of the driver per candidate, for the last line:")
    for component, milliseconds in cost.most_common():
        print(f"  {component:<20} {milliseconds:6.3f}")
    print(f"  {'all':<20} {sum(cost.values()):6.3f}")


if __name__ == "__main__":
    main()
