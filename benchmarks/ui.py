"""Measures the web page on a large run: response times, first paint in Chromium, and the slowest query.

    python -m benchmarks.ui [--evaluations 1000000]

The run is generated in a temporary folder (1.2 GB for a million) and deleted afterwards. Many of its programs share
their scores, which is the harder case for a ranking. The time of a query includes reading all rows. `CPU` is the CPU
time of the page's process per response, on which other work on the machine has little effect. Chromium is driven by
Playwright; without either of them, the first paint is not measured.
"""

import argparse
import json
import random
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from sqlalchemy import event

from funsearch.core.records import RunRecord
from funsearch.search.ledger import SNAPSHOT_STEP, SNAPSHOTS
from funsearch.settings.search import Settings
from funsearch.storage import SqlStorage, open_storage
from funsearch.web.app import create_app

SPECIFICATION = '''"""Scores something."""
import funsearch

@funsearch.evolve
def priority(item: float, bins: list) -> list:
    """Returns a score for each."""
    return bins
'''
LINE = "    total = bins * 2 + item - 1.5  # some arithmetic\n"
PER_PROMPT, ISLANDS, RESET = 4, 10, 10_000
STATUSES = ("OK", "RUNTIME_ERROR", "COMPILE_ERROR", "TIMEOUT", "BAD_SCORE")
WEIGHTS = (55, 25, 14, 4, 2)
REPEATS, PAINTS = 5, 3
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def rows(count: int) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]]]:
    """Yields the prompt, sample and evaluation of every program."""
    rng = random.Random(0)
    recent = [0]
    for program in range(count):
        prompt, sample = divmod(program - 1, PER_PROMPT) if program else (-1, 0)
        island = rng.randrange(ISLANDS) if program else -1
        parents = sorted({rng.choice(recent) for _ in range(2)}) if program else []
        status = rng.choices(STATUSES, WEIGHTS)[0] if program else "OK"
        duplicate = rng.randrange(program) if program and rng.random() < 0.3 else None
        score = round(-5 + 3 * (program / count) ** 0.3 + min(0.0, rng.gauss(0, 1)), 1) if status == "OK" else None
        if score is not None and duplicate is None:
            recent = [*recent[-200:], program]
        body = LINE * 6 + f"    return total * {program}\n"
        scores = json.dumps({"a": score, "b": score}) if score is not None else "{}"
        error = "" if score is not None else "Traceback"
        texts = (body, "", error, "")
        yield (
            (1, prompt, island, program // RESET // 2, 2, max(0, program - 20), json.dumps(parents), LINE * 12),
            (1, prompt, sample, 1, "stop", 400, 120, body),
            (
                1,
                program,
                prompt,
                sample,
                status,
                duplicate,
                score,
                1,
                f"{program:064x}",
                scores,
                0.1,
                "L2",
                *texts,
                None,
            ),
        )


def snapshots(count: int) -> Iterator[tuple[Any, ...]]:
    """Yields the snapshots that a search would have recorded."""
    at = 1
    while at <= count:
        shares = {
            name: int(at * weight / 100) for name, weight in zip(STATUSES, WEIGHTS, strict=True) if at * weight >= 100
        }
        usage = {"model": {"samples": at, "prompt_tokens": 400 * at, "tokens": 120 * at}}
        best = -5 + 3 * (at / count) ** 0.3
        island = {"programs": at // 20, "clusters": at // 400, "resets": at // RESET // 2}
        islands = [{**island, "best_score": best - number / 20} for number in range(ISLANDS)]
        figures = (at, int(0.65 * at), int(0.4 * at), int(0.3 * at), best, 30, 5, 1, 1)
        yield 1, at, 1e9 + at / 50, at / 50, *figures, json.dumps(shares), json.dumps(usage), json.dumps(islands)
        at += max(SNAPSHOT_STEP, at // SNAPSHOTS)


def generate(path: Path, count: int) -> None:
    """Writes a run of `count` evaluations."""
    storage = open_storage(str(path))
    settings = Settings().stored([])
    storage.create_run(
        RunRecord(
            name="large",
            problem="priority",
            specification=SPECIFICATION,
            evaluator="",
            settings=settings,
            sandbox="L2",
            created=1e9,
        )
    )
    storage.set_state("large", "finished", "samples")
    storage.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("INSERT INTO models VALUES (1, 'model')")
    prompts, samples, evaluations = [], [], []
    for program, (prompt, sample, evaluation) in enumerate(rows(count)):
        if sample[2] == 0:
            prompts.append(prompt)
        samples.append(sample)
        evaluations.append(evaluation)
        if len(samples) == 20_000 or program == count - 1:
            for table, new in (("prompts", prompts), ("samples", samples), ("evaluations", evaluations)):
                connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(new[0]))})", new)
                new.clear()
    for table, new in (("snapshots", list(snapshots(count))), ("resets", list(resets(count)))):
        connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(new[0]))})", new)
    connection.commit()
    connection.close()


def resets(count: int) -> Iterator[tuple[Any, ...]]:
    """Yields resets of half of the islands."""
    for number in range(max(1, count // RESET)):
        yield 1, number, (number + 1) * RESET, json.dumps([0, 1, 2, 3, 4]), json.dumps([0] * 5)


def views(storage: SqlStorage, count: int) -> list[str]:
    """Returns the paths to request."""
    best = storage.best("large", 1)[0][0]
    run = "/runs/1"
    listed = ["/", run, f"{run}/live", f"{run}/best", f"{run}/best?top=100", f"{run}/islands", f"{run}/programs"]
    rare = [f"{run}/programs?status=MEMORY", f"{run}/programs?below={count // 2}"]
    one = [f"{run}/programs/{best}", f"{run}/programs/{best}/lineage", f"{run}/diff/0/{best}", f"{run}/about"]
    return listed + rare + one


def queries(storage: SqlStorage) -> list[tuple[str, Any]]:
    """Returns a list to which every query of the storage is added from now on."""
    noted: list[tuple[str, Any]] = []

    @event.listens_for(storage.engine, "before_cursor_execute")
    def note(connection, cursor, statement, parameters, context, many):  # type: ignore[no-untyped-def]
        if statement.startswith("SELECT"):
            noted.append((statement, parameters))

    return noted


def slowest(path: Path, noted: list[tuple[str, Any]]) -> tuple[float, str]:
    """Returns the best time of the slowest query, including reading all rows, and its text."""
    connection = sqlite3.connect(path)
    times: dict[str, float] = {}
    for statement, parameters in noted:
        started = time.perf_counter()
        connection.execute(statement, parameters).fetchall()
        taken = time.perf_counter() - started
        times[statement] = min(times.get(statement, taken), taken)
    connection.close()
    statement = max(times, key=times.__getitem__)
    return times[statement], " ".join(statement.split())


def paints(address: str, wanted: list[str]) -> dict[str, float]:
    """Returns the best time to first paint of each view, in seconds; empty without Chromium."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return {}
    if chromium is None:
        return {}
    found = {}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for view in wanted * PAINTS:
            tab = browser.new_page()
            tab.goto(address + view)
            while (at := tab.evaluate(PAINTED)) is None:
                tab.wait_for_timeout(20)
            found[view] = min(at / 1000, found.get(view, at))
            tab.close()
        browser.close()
    return found


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=1_000_000)
    count = parser.parse_args().evaluations
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.db"
        started = time.perf_counter()
        generate(path, count)
        size = path.stat().st_size / 1e9
        print(f"{count:,} evaluations, {size:.2f} GB, generated in {time.perf_counter() - started:.0f} s", flush=True)
        measure(path, count)


def measure(path: Path, count: int) -> None:
    """Prints the times of each view."""
    import httpx

    storage = open_storage(str(path))
    wanted = views(storage, count)
    noted = queries(storage)
    server = uvicorn.Server(uvicorn.Config(create_app(storage), port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        print(f"{'first response':>14} {'best':>8} {'CPU':>8} {'KB':>6} {'query':>8}  view (milliseconds)")
        for view in wanted:
            noted.clear()
            times, work = [], []
            for _ in range(REPEATS):
                started, worked = time.perf_counter(), time.process_time()
                answer = httpx.get(address + view, timeout=60)
                times.append(time.perf_counter() - started)
                work.append(time.process_time() - worked)
                answer.raise_for_status()
            queried, statement = slowest(path, list(noted))
            shown = f"{1000 * times[0]:14.0f} {1000 * min(times):8.0f} {1000 * min(work):8.0f}"
            figures = f"{shown} {len(answer.content) / 1000:6.0f}"
            print(f"{figures} {1000 * queried:8.0f}  {view}", flush=True)
            if queried > 0.2:
                print(f"{'':16}{statement:.300}")
        for view, seconds in paints(address, [view for view in wanted if not view.endswith("/live")]).items():
            print(f"first paint {1000 * seconds:.0f} ms: {view}", flush=True)
    finally:
        server.should_exit = True
        thread.join()
        storage.close()


if __name__ == "__main__":
    main()
