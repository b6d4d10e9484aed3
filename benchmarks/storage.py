"""Measures queries on a run of a million evaluations, and resuming it, on SQLite and PostgreSQL.

    python -m benchmarks.storage [--evaluations 1000000] [--postgres URL] [--keep FOLDER]

Writes a run as a search would write it, with a fifth of duplicates and a quarter without a score. Then it measures the
queries of the commands (the median of five each) and restoring the run. If PostgreSQL is installed, a server is started
for the benchmark, unless a URL is given.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from funsearch.core.code.identity import key
from funsearch.core.ports import Event
from funsearch.core.prompt import best_shot_prompt
from funsearch.core.records import Evaluation, Function, Prompt, RunRecord, Sample, Status
from funsearch.loading import Problem, load_problem
from funsearch.search.ledger import FIRST_PROMPT, Ledger
from funsearch.settings.search import Settings
from funsearch.storage import SqlStorage, open_storage
from funsearch.testing.postgres import PostgresServer, postgres_programs

RUN = "million"
PER_PROMPT = 4
GROUP = 4000
"""Events in one transaction."""
REPEATS = 5
LINE = "    total = el[0] * el[1] + el[2] * el[3] - n  # some arithmetic\n"


def events(problem: Problem, count: int) -> Iterator[Event]:
    """Yields the events of a run with `count` evaluations."""
    rng = np.random.default_rng(0)
    first = problem.specification.first
    inputs = tuple(problem.inputs)
    sample = Sample(prompt=FIRST_PROMPT, index=0, text=first.body, model="specification", finish_reason="stop")
    yield from (FIRST_PROMPT, sample, _evaluation(sample, first, key(first), inputs, 0.0))
    text = best_shot_prompt(problem.specification, [first, first])
    firsts: list[tuple[int, Function, float | None]] = []
    for number in range(1, count):
        index, place = divmod(number - 1, PER_PROMPT)
        if place == 0:
            prompt = Prompt(
                index=index,
                island=index % 10,
                resets=0,
                text=text,
                version=2,
                parents=(0, max(0, number - 40)),
                after=number,
            )
            yield prompt
        again = firsts and rng.random() < 0.2
        if again:
            original, function, score = firsts[rng.integers(len(firsts))]
        else:
            function = Function(f"    total = {number}\n{LINE * 4}    return total\n")
            score = round(float(rng.normal(50, 10)), 1) if rng.random() < 0.75 else None
        sample = Sample(
            prompt=prompt,
            index=place,
            text=function.body,
            model="model",
            finish_reason="stop",
            prompt_tokens=400,
            tokens=90,
        )
        yield sample
        name = f"{function.body.split()[2]:0>32}"
        yield _evaluation(sample, function, name, inputs, score, original if again else None)
        if not again:
            firsts.append((number, function, score))


def _evaluation(
    sample: Sample, function: Function, key: str, inputs: tuple[str, ...], score: float | None, first: int | None = None
) -> Evaluation:
    status = Status.RUNTIME_ERROR if score is None else Status.OK
    scores = {} if score is None else dict.fromkeys(inputs, score)
    error = "IndexError: tuple index out of range" if score is None else ""
    return Evaluation(
        sample=sample,
        status=status,
        function=function,
        key=key,
        scores=scores,
        error=error,
        seconds=0.02,
        sandbox="L3",
        duplicate_of=first,
        score=score,
    )


def fill(storage: SqlStorage, problem: Problem, count: int) -> None:
    """Writes the run."""
    settings = Settings().stored(())
    source = problem.source
    storage.create_run(
        RunRecord(
            name=RUN,
            problem=problem.name,
            specification=source.specification,
            evaluator=source.evaluator,
            settings=settings,
            sandbox="L3",
            created=0.0,
        )
    )
    happening = events(problem, count)
    with storage.lease(RUN):
        while group := list(itertools.islice(happening, GROUP)):
            storage.append(RUN, group)
        storage.set_state(RUN, "finished", "samples")


def restore(storage: SqlStorage, problem: Problem) -> None:
    """Restores the programs database of the run in memory, as `funsearch resume` does."""
    database = problem.database()
    ledger = Ledger(RUN, problem.specification, database, storage, "L3")
    for _ in ledger.restore():
        pass
    ledger.pending_jobs(list(storage.unevaluated(RUN)))
    list(storage.unanswered(RUN))


def median(action: Callable[[], object]) -> float:
    """Returns the median milliseconds of a call."""
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        action()
        taken.append(1000 * (time.perf_counter() - started))
    return statistics.median(taken)


def measure(kind: str, url: str, problem: Problem, count: int) -> None:
    """Prints the figures of one database."""
    storage = open_storage(url)
    started = time.perf_counter()
    if all(summary.run != RUN for summary in storage.runs()):
        fill(storage, problem, count)
        print(f"{kind:<10} {'writing the run':<24} {time.perf_counter() - started:10.1f} s", flush=True)
    queries: dict[str, Callable[[], object]] = {
        "list": storage.runs,
        "best, 1": lambda: storage.best(RUN, 1),
        "best, 10": lambda: storage.best(RUN, 10),
        "best, 100": lambda: storage.best(RUN, 100),
        "show": lambda: storage.program(RUN, count // 2),
        "counts": lambda: storage.counts(RUN),
        "held-out of the best": lambda: storage.heldout(RUN, range(10)),
    }
    for name, query in queries.items():
        print(f"{kind:<10} {name:<24} {median(query):10.1f} ms", flush=True)
    started = time.perf_counter()
    restore(storage, problem)
    print(f"{kind:<10} {'restoring the run':<24} {time.perf_counter() - started:10.1f} s", flush=True)
    storage.close()


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=1_000_000)
    parser.add_argument("--postgres", metavar="URL", help="a database to write to, instead of a new server")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where to keep the SQLite database")
    arguments = parser.parse_args()
    problem = load_problem("cap_set", inputs=["n=4"])
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o711)
        place = arguments.keep or folder
        measure("SQLite", f"sqlite:///{place / 'storage.db'}", problem, arguments.evaluations)
        url = arguments.postgres
        if url is None and postgres_programs() is not None:
            url = stack.enter_context(PostgresServer(folder / "postgres")).url
        if url is not None:
            measure("PostgreSQL", url, problem, arguments.evaluations)


if __name__ == "__main__":
    main()
