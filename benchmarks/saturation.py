"""Whether the model ever waits for the engine: tokens a second in a search against the same engine on the same prompts.

    python -m benchmarks.saturation [--minutes 4]

Searches for cap sets (n = 4) with the built-in model, then gives the very prompts of that search to the same sampler
actor alone. Prints both rates, their ratio, and how often the model's queue was seen empty after the first minute.
"""

import argparse
import itertools
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray

from funsearch.cluster.search_workers import RayWorkers, hire
from funsearch.cluster.session import start_ray
from funsearch.core.records import Prompt
from funsearch.loading import load_problem
from funsearch.sandbox import open_sandbox
from funsearch.search.search import Search
from funsearch.settings.search import Settings
from funsearch.storage import open_storage

WARM_SECONDS = 60.0
LOOK_SECONDS = 0.5


class Watch:
    """Looks at the sampler's counters from the first token on."""

    def __init__(self, actor: Any) -> None:
        self.looks: list[tuple[float, int, int]] = []
        self._actor = actor
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            stats = ray.get(self._actor.stats.remote())
            if stats is not None and stats.tokens:
                self.looks.append((time.monotonic(), stats.tokens, stats.waiting))

    def finish(self) -> list[tuple[float, int, int]]:
        """Returns the looks after the first minute."""
        self._stop.set()
        self._thread.join()
        return [look for look in self.looks if look[0] >= self.looks[0][0] + WARM_SECONDS]


def rate(looks: list[tuple[float, int, int]]) -> float:
    """Returns tokens a second."""
    return (looks[-1][1] - looks[0][1]) / (looks[-1][0] - looks[0][0])


def alone(
    workers: RayWorkers, prompts: Iterator[Prompt], in_flight: int, seconds: float
) -> list[tuple[float, int, int]]:
    """Returns the looks at the same sampler when it is given prompts and nothing else happens."""
    watch = Watch(workers.sampler_actors[0])
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        while workers.asking < in_flight and (prompt := next(prompts, None)) is not None:
            workers.ask(prompt)
        workers.wait(0.2)
    return watch.finish()


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=4.0)
    minutes = parser.parse_args().minutes
    settings = Settings.load(None, ["database.islands=4"])
    problem = load_problem("cap_set", inputs=["n=4"])
    sandbox = open_sandbox()
    sandbox.close()
    start_ray(None)
    workers = hire(problem.source, settings, problem.evaluator.limits, sandbox.level)
    ray.get(workers.sampler_actors[0].start.remote())
    with tempfile.TemporaryDirectory() as folder:
        storage = open_storage(f"sqlite:///{Path(folder) / 'saturation.db'}")
        search = Search(problem, storage=storage, settings=settings, workers=workers, sandbox=sandbox, name="run")
        watch = Watch(workers.sampler_actors[0])
        search.run(minutes=minutes)
        searching = watch.finish()
        prompts = [prompt for prompt in storage.prompts("run") if prompt.index >= 0]
        # Again from the start when they run out: it shall not idle.
        plain = alone(workers, itertools.cycle(prompts), settings.most_in_flight(), minutes * 60)
        search.close()
    empty = sum(waiting == 0 for _, _, waiting in searching)
    print(f"tokens/s in a search: {rate(searching):.0f}; alone on the same prompts: {rate(plain):.0f}")
    print(f"ratio: {rate(searching) / rate(plain):.2f}")
    print(f"queue seen empty after the first minute: {empty} of {len(searching)} looks")


if __name__ == "__main__":
    main()
