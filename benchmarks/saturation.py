"""Measures whether the model ever waits for the engine: tokens per second in a search, and without one.

    python -m benchmarks.saturation [--minutes 4]

Searches for cap sets (n = 4) with the built-in model, then sends the prompts of that search to the same sampler actor
without a search. Prints both rates, their ratio, and how often the model's queue was empty after the first minute.
"""

import argparse
import itertools
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ray

from funsearch.cluster.actors import SamplerHandle
from funsearch.cluster.search_workers import RayWorkers, make_workers
from funsearch.cluster.session import start_ray
from funsearch.core.records import Prompt
from funsearch.loading import load_problem
from funsearch.sandbox import open_sandbox
from funsearch.search.loop import Budget, SearchLoop
from funsearch.search.runs import new_run
from funsearch.settings.search import Settings
from funsearch.storage import open_storage

WARM_UP_SECONDS = 60.0
READING_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Reading:
    """The counters of the sampler at one moment."""

    seconds: float
    tokens: int
    waiting: int
    """Completions in the model's queue."""


class Meter:
    """Reads the sampler's counters from the first token on, in a thread of its own."""

    def __init__(self, actor: SamplerHandle) -> None:
        self._readings: list[Reading] = []
        self._actor = actor
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def finish(self) -> list[Reading]:
        """Stops; returns the readings after the first minute."""
        self._stop.set()
        self._thread.join()
        start = self._readings[0].seconds + WARM_UP_SECONDS
        return [reading for reading in self._readings if reading.seconds >= start]

    def _run(self) -> None:
        while not self._stop.wait(READING_SECONDS):
            stats = ray.get(self._actor.stats.remote())
            if stats is not None and stats.tokens:
                self._readings.append(Reading(time.monotonic(), stats.tokens, stats.waiting))


def rate(readings: list[Reading]) -> float:
    """Returns tokens per second."""
    first, last = readings[0], readings[-1]
    return (last.tokens - first.tokens) / (last.seconds - first.seconds)


def sample_only(workers: RayWorkers, prompts: Iterator[Prompt], settings: Settings, seconds: float) -> list[Reading]:
    """Returns the readings of the same sampler when it answers prompts and nothing else happens."""
    meter = Meter(workers.sampler_actors[0])
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        while workers.sampling < settings.most_in_flight() and (prompt := next(prompts, None)) is not None:
            workers.sample(prompt, settings.samples_per_prompt)
        workers.wait(0.2)
    return meter.finish()


def main() -> None:
    """Runs the benchmark and prints its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=4.0)
    minutes = parser.parse_args().minutes
    settings = Settings.load(None, ["database.islands=4"])
    problem = load_problem("cap_set", inputs=["n=4"])
    sandbox = open_sandbox()
    sandbox.close()
    start_ray(None)
    workers = make_workers(problem.source, settings, problem.evaluator.limits, sandbox.level)
    ray.get(workers.sampler_actors[0].start.remote())
    with tempfile.TemporaryDirectory() as folder:
        storage = open_storage(f"sqlite:///{Path(folder) / 'saturation.db'}")
        run = new_run(problem, settings, storage, sandbox.level, "run", time.time())
        meter = Meter(workers.sampler_actors[0])
        with storage.lease(run.name):
            SearchLoop(run, problem, settings, storage).run(Budget(minutes=minutes), workers)
        searching = meter.finish()
        prompts = [prompt for prompt in storage.prompts(run.name) if prompt.index >= 0]
        storage.close()
    # Repeated when they run out, so that the sampler does not idle.
    sampling = sample_only(workers, itertools.cycle(prompts), settings, minutes * 60)
    workers.close()
    empty = sum(reading.waiting == 0 for reading in searching)
    print(f"tokens/s in a search: {rate(searching):.0f}; without one, on the same prompts: {rate(sampling):.0f}")
    print(f"ratio: {rate(searching) / rate(sampling):.2f}")
    print(f"queue empty after the first minute: {empty} of {len(searching)} readings")


if __name__ == "__main__":
    main()
