"""Measures speed and memory of the programs database, compared with a naive implementation of the reference.

    python -m benchmarks.database [--programs 1000,10000,100000,1000000]

Every program has 500 characters and a unique signature, which is the hardest case. For each prompt, the naive database
visits all clusters, computes the softmax from scratch and parses every shown program, as the reference code does. Each
row is measured in a process of its own, in CPU time, so that neither other rows nor other work count.
"""

import argparse
import ast
import itertools
import math
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Protocol

import numpy as np

from funsearch.core.database import DatabaseConfig, ProgramsDatabase
from funsearch.core.prompt import best_shot_prompt
from funsearch.core.records import ALL_ISLANDS, Evaluation, Function, Prompt, Sample, Status
from funsearch.core.specification import Specification

SPECIFICATION = '''"""Scores something."""
import funsearch

@funsearch.evolve
def priority(item: float, bins: list) -> list:
    """Returns a score for each."""
    return bins
'''
LINE = "    total = bins * 2 + item - 1.5  # some arithmetic\n"
CHARACTERS = 500
BATCH = 1000
SECONDS = 2.0
"""Minimum duration of drawing prompts."""
KINDS = ("naive", "reference", "ranked")


class Database(Protocol):
    """A database under test."""

    def register(self, evaluation: Evaluation) -> object: ...

    def get_prompt(self) -> object: ...


class NaiveDatabase:
    """The reference's formulas over plain dictionaries, with nothing cached between prompts."""

    def __init__(self, specification: Specification, config: DatabaseConfig) -> None:
        self._specification = specification
        self._config = config
        self._islands: list[dict[tuple[float, ...], list[Function]]] = [{} for _ in range(config.islands)]
        self._counts = [0] * config.islands
        self._rng = np.random.RandomState(0)

    def register(self, evaluation: Evaluation) -> None:
        island = evaluation.sample.prompt.island
        numbers = range(len(self._islands)) if island == ALL_ISLANDS else [island]
        assert evaluation.function is not None, "the benchmark registers functions only"
        for number in numbers:
            clusters = self._islands[number]
            clusters.setdefault(tuple(evaluation.scores.values()), []).append(evaluation.function)
            self._counts[number] += 1

    def get_prompt(self) -> str:
        config, number = self._config, self._rng.randint(len(self._islands))
        period = config.temperature_period
        temperature = config.cluster_temperature * (1 - (self._counts[number] % period) / period)
        clusters = self._islands[number]
        signatures = list(clusters)
        chosen = self._choose([signature[-1] for signature in signatures], temperature, config.functions_per_prompt)
        shown = []
        for signature in sorted((signatures[index] for index in chosen), key=lambda signature: signature[-1]):
            programs = clusters[signature]
            lengths = [len(program.body) for program in programs]
            logits = [-(length - min(lengths)) / (max(lengths) + 1e-6) for length in lengths]
            shown.append(programs[self._choose(logits, config.length_temperature, 1)[0]])
            ast.parse(self._specification.function_source(shown[-1]))
        return best_shot_prompt(self._specification, shown)

    def _choose(self, logits: list[float], temperature: float, count: int) -> list[int]:
        scaled = np.array(logits) / temperature
        weights = np.exp(scaled - scaled.max())
        size = min(count, len(logits))
        return [int(index) for index in self._rng.choice(len(logits), size=size, p=weights / weights.sum())]


@dataclass(frozen=True)
class Figures:
    """One row of the table."""

    prompts: float
    registrations: float
    before: int
    after: int


def build(kind: str) -> Database:
    """Returns an empty database."""
    specification = Specification.parse(SPECIFICATION)
    if kind == "naive":
        return NaiveDatabase(specification, DatabaseConfig())
    return ProgramsDatabase(
        partial(best_shot_prompt, specification), ("x",), DatabaseConfig(selection=kind, reset_period=None)
    )  # type: ignore[arg-type]


def evaluations(count: int) -> Iterator[Evaluation]:
    """Yields the first program's evaluation and distinct others, evenly over the islands."""
    rng = np.random.default_rng(0)
    everywhere = Prompt(index=ALL_ISLANDS, island=ALL_ISLANDS, resets=0, text="", version=0, parents=(), after=0)
    prompts = [
        Prompt(index=0, island=island, resets=0, text="", version=2, parents=(), after=0)
        for island in range(DatabaseConfig().islands)
    ]
    for number in range(count):
        start, end = f"    total = item * {number}\n", "    return total\n"
        filler = (LINE * (CHARACTERS // len(LINE)))[: CHARACTERS - len(start) - len(end) - 1]
        sample = Sample(
            prompt=prompts[number % len(prompts)] if number else everywhere,
            index=0,
            text="",
            model="",
            finish_reason="stop",
        )
        function = Function(f"{start}{filler}\n{end}")
        yield Evaluation(
            sample=sample, status=Status.OK, function=function, key=f"{number:032x}", scores={"x": float(rng.normal())}
        )


def measure(kind: str, count: int) -> Figures:
    """Fills a database, draws prompts from it, and returns the figures."""
    database = build(kind)
    before, registering = memory(), 0.0
    source = evaluations(count)
    while batch := list(itertools.islice(source, BATCH)):
        started = time.process_time()
        for evaluation in batch:
            database.register(evaluation)
        registering += time.process_time() - started
    after = memory()
    drawn, started = 0, time.process_time()
    while (drawing := time.process_time() - started) < SECONDS:
        database.get_prompt()
        drawn += 1
    return Figures(drawn / drawing, count / registering, before, after)


def memory() -> int:
    """Returns this process's resident memory in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", default="1000,10000,100000,1000000", help="numbers of programs")
    sizes = [int(size) for size in parser.parse_args().programs.split(",")]
    heads = ("programs", "selection", "get_prompt/s", "x naive", "register/s", "RSS MB", "bytes/program")
    print(" ".join(f"{head:>13}" for head in heads))
    for size in sizes:
        naive = math.nan
        for kind in KINDS:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                figures = pool.submit(measure, kind, size).result()
            naive = figures.prompts if kind == "naive" else naive
            grown = (figures.after - figures.before) / size
            print(
                f"{size:13,} {kind:>13} {figures.prompts:13,.0f} {figures.prompts / naive:13.1f} "
                f"{figures.registrations:13,.0f} {figures.after / 1e6:13,.0f} {grown:13,.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
