"""How quick the programs database is and what it holds, beside the reference's formulas written naively.

    python -m benchmarks.database [--programs 1000,10000,100000,1000000]

Every program has a signature of its own, which is the hardest case. The naive database walks its clusters, makes the
softmax anew and parses every shown program for each prompt, as the public reference does.
"""

import argparse
import ast
import gc
import resource
import time
from collections.abc import Callable

import numpy as np

from funsearch.core.database import DatabaseConfig, ProgramsDatabase
from funsearch.core.records import ALL_ISLANDS, Evaluation, Function, Prompt, Sample, Status
from funsearch.core.specification import Specification

SPECIFICATION = '''"""Scores something."""
import funsearch

@funsearch.evolve
def priority(item: float, bins: list) -> list:
    """Returns a score for each."""
    return bins
'''
BODY_CHARACTERS = 500
ISLANDS = 10
SECONDS = 1.5
"""How long each rate is measured."""


class NaiveDatabase:
    """The reference's formulas over plain dictionaries."""

    def __init__(self, specification: Specification) -> None:
        self._specification = specification
        self._islands: list[dict[tuple[float, ...], list[Function]]] = [{} for _ in range(ISLANDS)]
        self._counts = [0] * ISLANDS
        self._rng = np.random.RandomState(0)

    def register(self, island: int, score: float, function: Function) -> None:
        self._islands[island].setdefault((score,), []).append(function)
        self._counts[island] += 1

    def get_prompt(self) -> str:
        number = self._rng.randint(ISLANDS)
        clusters = self._islands[number]
        temperature = 0.1 * (1 - (self._counts[number] % 30_000) / 30_000)
        signatures = list(clusters)
        chosen = self._rng.choice(
            len(signatures), size=min(2, len(signatures)), p=_softmax([s[-1] for s in signatures], temperature)
        )
        shown = []
        for index in chosen:
            programs = clusters[signatures[index]]
            lengths = np.array([len(one.body) for one in programs])
            weights = _softmax(list(-(lengths - lengths.min()) / (lengths.max() + 1e-6)), 1.0)
            shown.append(programs[self._rng.choice(len(programs), p=weights)])
            ast.parse(self._specification.program(shown[-1]))
        return self._specification.prompt(shown)


def _softmax(logits: list[float], temperature: float) -> np.ndarray:  # type: ignore[type-arg]
    scaled = np.array(logits) / temperature
    weights = np.exp(scaled - scaled.max())
    return weights / weights.sum()


def functions(count: int) -> list[Function]:
    """Returns functions of about 500 characters, no two alike."""
    filler = "    total = bins * 2 + item - 1.5  # some arithmetic\n"
    return [
        Function((f"    total = item * {n}\n" + filler * 9)[: BODY_CHARACTERS - 17] + "\n    return total\n")
        for n in range(count)
    ]


def rate(work: Callable[[], object]) -> float:
    """Returns how often a second `work` can be done."""
    count, started = 0, time.perf_counter()
    while (seconds := time.perf_counter() - started) < SECONDS:
        work()
        count += 1
    return count / seconds


def memory() -> int:
    """Returns this process's resident memory in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def fill(specification: Specification, selection: str, programs: list[Function]) -> tuple[ProgramsDatabase, float]:
    """Returns a database of the programs, and registrations a second."""
    config = DatabaseConfig(selection=selection, islands=ISLANDS, reset_period=None)  # type: ignore[arg-type]
    database = ProgramsDatabase(specification, ("x",), config)
    scores = np.random.default_rng(0).normal(size=len(programs)).tolist()
    everywhere = Prompt(ALL_ISLANDS, ALL_ISLANDS, 0, "", 0, (), 0)
    prompts = [Prompt(0, island, 0, "", 2, (), 0) for island in range(ISLANDS)]
    seconds = 0.0
    for number, function in enumerate(programs):
        prompt = prompts[number % ISLANDS] if number else everywhere
        evaluation = Evaluation(
            Sample(prompt, 0, "", "", "stop"), Status.OK, function, f"{number:032x}", {"x": scores[number]}
        )
        started = time.perf_counter()
        database.register(evaluation)
        seconds += time.perf_counter() - started
    return database, len(programs) / seconds


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", default="1000,10000,100000,1000000")
    specification = Specification.parse(SPECIFICATION)
    print(f"{'programs':>9} {'selection':>10} {'prompts/s':>10} {'x naive':>8} {'registers/s':>12} {'MB':>6}")
    for count in map(int, parser.parse_args().programs.split(",")):
        naive = NaiveDatabase(specification)
        scores = np.random.default_rng(0).normal(size=count).tolist()
        for number, function in enumerate(functions(count)):
            naive.register(number % ISLANDS, scores[number], function)
        plain = rate(naive.get_prompt)
        print(f"{count:>9} {'naive':>10} {plain:>10.0f} {1:>8.1f}")
        del naive
        for selection in ("ranked", "reference"):
            gc.collect()
            before = memory()
            database, registers = fill(specification, selection, functions(count))
            grown = (memory() - before) / 1e6
            prompts = rate(database.get_prompt)
            print(
                f"{count:>9} {selection:>10} {prompts:>10.0f} {prompts / plain:>8.1f} {registers:>12.0f} {grown:>6.0f}"
            )
            del database


if __name__ == "__main__":
    main()
