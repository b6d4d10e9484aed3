"""Measures the cost of the engine around a model that costs nothing: a real search on Ray against a local endpoint.

    python -m benchmarks.engine [--candidates 20000]

Searches for cap sets (n = 4); every answer is a new program. Prints the candidates per second over the first and the
last thousand, their ratio, and the CPU milliseconds per candidate by component, without the endpoint's own share.
"""

import argparse
import itertools
import multiprocessing
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from funsearch.cluster.driver import Launch, launch
from funsearch.cluster.session import start_ray
from funsearch.loading import load_problem
from funsearch.sandbox import open_sandbox
from funsearch.search.loop import Budget
from funsearch.search.progress import Progress
from funsearch.search.runs import new_run
from funsearch.settings.search import Settings
from funsearch.storage import open_storage
from funsearch.testing.endpoint import FakeEndpoint

COMPONENTS = {
    "ray::SearchActor": "driver (database, storage)",
    "ray::SamplerActor": "sampler (HTTP client)",
    "ray::EvaluatorActor": "evaluator (trusted side)",
    "launch.py": "sandbox",
    "raylet": "Ray",
    "gcs_server": "Ray",
    "dashboard": "Ray",
    "log_monitor": "Ray",
    "monitor.py": "Ray",
    "Agent": "Ray",
}


def serve(port: "multiprocessing.sharedctypes.Synchronized[int]") -> None:  # type: ignore[name-defined]
    """Answers every request with new programs; runs in a process of its own."""
    numbers = itertools.count()

    def answer(_prompt: str, count: int) -> list[str]:
        return [
            f"    return el[{n % 4}] * {n}.5 - el[{n // 4 % 4}] * {n % 97} + el[0] * el[1]\n"
            for n in itertools.islice(numbers, count)
        ]

    endpoint = FakeEndpoint(answer)
    port.value = int(endpoint.url.rsplit(":", 1)[1].split("/")[0])
    time.sleep(1e6)


class Meter:
    """Processor seconds of this program's processes by component, including processes that have ended."""

    def __init__(self) -> None:
        self._first: dict[int, float] = {}
        self._last: dict[int, tuple[str, float]] = {}

    def look(self) -> None:
        """Reads the processor time of all processes."""
        me = psutil.Process()
        for process in psutil.process_iter(["cmdline", "name"]):
            line = " ".join(process.info["cmdline"] or []) or process.info["name"]
            component = next((name for part, name in COMPONENTS.items() if part in line), None)
            component = "command line" if process.pid == me.pid else component
            if component is None:
                continue
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            seconds = times.user + times.system
            if component == "sandbox":  # the worker that reaped a forked candidate counts it
                seconds += times.children_user + times.children_system
            self._first.setdefault(process.pid, seconds)
            self._last[process.pid] = component, seconds

    def used(self) -> Counter[str]:
        """Returns the seconds between the first and the last reading of each process."""
        used: Counter[str] = Counter()
        for pid, (component, seconds) in self._last.items():
            used[component] += seconds - self._first[pid]
        return used


def main() -> None:
    """Runs the benchmark and prints its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=20_000)
    candidates = parser.parse_args().candidates
    port = multiprocessing.Value("i", 0)
    server = multiprocessing.get_context("fork").Process(target=serve, args=(port,), daemon=True)
    server.start()
    while not port.value:
        time.sleep(0.05)
    settings = Settings.load(
        None,
        ["prompts_in_flight=16", f"openai.base_url=http://127.0.0.1:{port.value}/v1"],
        samplers=("openai:fake",),
    )
    problem = load_problem("cap_set", inputs=["n=4"])
    sandbox = open_sandbox()
    sandbox.close()
    seen: list[tuple[float, int]] = []
    meter = Meter()

    def watch(progress: Progress | None) -> None:
        if progress is None or not progress.samples:
            return
        if not seen or progress.samples > seen[-1][1]:
            seen.append((time.monotonic(), progress.samples))
        meter.look()

    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'engine.db'}"
        storage = open_storage(url)
        run = new_run(problem, settings, storage, sandbox.level, "engine", time.time())
        storage.close()
        start_ray(None)
        launch(Launch(run, problem.source, settings, url, False), Budget(samples=candidates), watch)
    server.terminate()
    report(seen[:-1], meter.used())  # the last point is after the end


def report(seen: list[tuple[float, int]], cost: Counter[str]) -> None:
    """Prints the rates and the costs."""

    def rate(points: list[tuple[float, int]]) -> float:
        return (points[-1][1] - points[0][1]) / (points[-1][0] - points[0][0])

    first, last = seen[0][1], seen[-1][1]
    early = [point for point in seen if point[1] <= first + 1000 or point[1] <= 2000]
    late = [point for point in seen if point[1] >= last - 1000] if last > 3000 else early
    late = late if len(late) > 1 else seen[-2:]
    print(f"candidates/s, all: {rate(seen):.0f}; first thousand: {rate(early):.0f}; last thousand: {rate(late):.0f}")
    tenths = [seen[len(seen) * k // 10 : len(seen) * (k + 1) // 10] for k in range(10)]
    print(f"by tenths: {', '.join(f'{rate(points):.0f}' for points in tenths if len(points) > 1)}")
    print(f"last thousand / first thousand: {rate(late) / rate(early):.2f}")
    for component, seconds in cost.most_common():
        print(f"  {component:<28} {1000 * seconds / (last - first):6.2f} CPU ms per candidate")
    print(f"  {'all':<28} {1000 * sum(cost.values()) / (last - first):6.2f} CPU ms per candidate")


if __name__ == "__main__":
    main()
