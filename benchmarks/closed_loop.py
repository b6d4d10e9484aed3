"""Searches at equal numbers of samples: with the model as it is, and with steps of ReST^EM or DPO on what they find.

usage: python -m benchmarks.closed_loop [--samples N] [--every N] [--seeds N] [--folder FOLDER] [-- PROBLEM OPTIONS...]

Each step's policy is served whatever it is worth (gate.always), as otherwise nothing would be compared where the gate
publishes nothing; what the gate would have said of it, measured on few tasks, is printed.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from funsearch.core.records import Evaluation
from funsearch.storage import open_storage

METHODS = {"frozen": [], "ReST^EM": ["trainer.method=sft"], "DPO": ["trainer.method=dpo"]}
STEP = ["gate.always=true", "tasks.heldout=40", "measure.samples=2"]
PROBLEM = ["bin_packing", "--islands", "4", "--set", "database.cluster_temperature=0.3"]


@dataclass(frozen=True, slots=True)
class Result:
    """How one search ended; shares and counts are of the samples after the first step."""

    valid: float
    distinct: int
    """Scores, of all that these samples got."""
    better: int
    """Samples that beat the best program shown to them."""
    best: float
    heldout: float
    """Mean over the held-out inputs of the best program."""


def main() -> None:
    """Runs the searches and prints a line for each method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=600)
    parser.add_argument("--every", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("bench-closed-loop"))
    parser.add_argument("options", nargs="*", default=PROBLEM, help="of funsearch run, after --, the problem first")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    db = f"sqlite:///{given.folder}/runs.db"
    found: dict[str, list[Result]] = {method: [] for method in METHODS}
    for seed in range(given.seeds):
        for method, settings in METHODS.items():
            name = f"{method.replace('^', '')}-{seed}"
            steps = [f"every={given.every}", *STEP, *settings] if method != "frozen" else []
            options = [*given.options, *(text for step in steps for text in ("--train", step))]
            started = time.monotonic()
            search(db, name, given.samples, seed, options)
            found[method].append(result(db, name, given.every))
            print(f"{name}: {time.monotonic() - started:.0f} s {found[method][-1]}", file=sys.stderr, flush=True)
            if steps:
                tell_steps(db, name, (given.samples - 1) // given.every)
    print("| model | valid | distinct scores | better than shown | best score | best on held-out inputs |")
    print("|---|---|---|---|---|---|")
    for method, results in found.items():
        columns = zip(*((one.valid, one.distinct, one.better, one.best, one.heldout) for one in results), strict=True)
        print(f"| {method} | {' | '.join(interval(column) for column in columns)} |")


def search(db: str, name: str, samples: int, seed: int, options: Sequence[str]) -> None:
    """Runs one search, and scores its best program on held-out inputs."""
    funsearch = [sys.executable, "-c", "from funsearch.cli import main; main()"]
    for command in (
        ["run", *options, "--name", name, "--samples", str(samples), "--seed", str(seed), "--json"],
        ["best", name, "--heldout", "--json"],
    ):
        subprocess.run([*funsearch, *command, "--db", db], stdout=subprocess.DEVNULL, check=True)


def result(db: str, name: str, every: int) -> Result:
    """Returns what became of a search."""
    with closing(open_storage(db, create=False)) as storage:
        evaluations = list(storage.evaluations(name))
        ((best, evaluation),) = storage.best(name, 1)
        heldout = storage.heldout(name, [best])[best].scores
    later = [one for one in evaluations if one.sample.prompt.index >= 0][every:]
    scored = [one for one in later if one.score is not None]
    assert evaluation.score is not None
    return Result(
        len(scored) / len(later),
        len({tuple(sorted(one.scores.items())) for one in scored}),
        sum(beats(one, evaluations) for one in scored),
        evaluation.score,
        statistics.mean(heldout.values()),
    )


def beats(one: Evaluation, evaluations: Sequence[Evaluation]) -> bool:
    """Returns whether a program scores more than the best one that its prompt shows."""
    shown = [score for parent in one.sample.prompt.parents if (score := evaluations[parent].score) is not None]
    return one.score is not None and bool(shown) and one.score > max(shown)


def tell_steps(db: str, name: str, count: int) -> None:
    """Prints what the steps of a search trained on, and what the gate would have said."""
    with closing(open_storage(db, create=False)) as storage:
        known = {summary.name for summary in storage.trainings()}
        for step in range(1, count + 1):
            records = storage.rounds(f"{name}-step{step}") if f"{name}-step{step}" in known else []
            if not records[1:]:
                print(f"  step {step}: nothing to train on", file=sys.stderr, flush=True)
                continue
            gain = records[1].gain
            assert gain is not None
            would = "publishes" if gain.lower > 0 else "does not publish"
            said = f"pass@1 {gain.mean:+.3f} [{gain.lower:+.3f}, {gain.upper:+.3f}], the gate by itself {would}"
            print(f"  step {step}: {records[1].selected} examples, {said}", file=sys.stderr, flush=True)


def interval(values: Sequence[float]) -> str:
    """Returns the mean with its standard error over the seeds."""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.3g} ± {error:.2g}"


if __name__ == "__main__":
    main()
