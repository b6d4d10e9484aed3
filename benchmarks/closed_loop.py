"""Compares searches at equal numbers of samples: with the base model, and with steps of ReST^EM or DPO on its samples.

usage: python -m benchmarks.closed_loop [--samples N] [--every N] [--seeds N] [--folder FOLDER] [-- PROBLEM OPTIONS...]

Every policy is served regardless of its quality (gate.always), since there would be nothing to compare where the gate
publishes none. The decision that the gate would have made, measured on few tasks, is printed.
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
    """The result of one search; shares and counts are over the samples after the first step."""

    valid: float
    distinct: int
    """Number of distinct scores of these samples."""
    better: int
    """Number of samples that beat the best program in their prompt."""
    best: float
    heldout: float
    """Mean score of the best program over the held-out inputs."""


def main() -> None:
    """Runs the searches and prints a table with a row for each method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=600)
    parser.add_argument("--every", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("bench-closed-loop"))
    parser.add_argument(
        "options", nargs="*", default=PROBLEM, help="passed on to funsearch run, after --, the problem first"
    )
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    db = f"sqlite:///{args.folder}/runs.db"
    results: dict[str, list[Result]] = {method: [] for method in METHODS}
    for seed in range(args.seeds):
        for method, settings in METHODS.items():
            name = f"{method.replace('^', '')}-{seed}"
            steps = [f"every={args.every}", *STEP, *settings] if method != "frozen" else []
            options = [*args.options, *(argument for step in steps for argument in ("--train", step))]
            started = time.monotonic()
            search(db, name, args.samples, seed, options)
            results[method].append(result(db, name, args.every))
            print(f"{name}: {time.monotonic() - started:.0f} s {results[method][-1]}", file=sys.stderr, flush=True)
            if steps:
                print_steps(db, name, (args.samples - 1) // args.every)
    print("| model | valid | distinct scores | better than shown | best score | best on held-out inputs |")
    print("|---|---|---|---|---|---|")
    for method, of_method in results.items():
        rows = [(run.valid, run.distinct, run.better, run.best, run.heldout) for run in of_method]
        columns = zip(*rows, strict=True)
        print(f"| {method} | {' | '.join(interval(column) for column in columns)} |")


def search(db: str, name: str, samples: int, seed: int, options: Sequence[str]) -> None:
    """Runs one search and scores its best program on the held-out inputs."""
    funsearch = [sys.executable, "-c", "from funsearch.cli import main; main()"]
    for command in (
        ["run", *options, "--name", name, "--samples", str(samples), "--seed", str(seed), "--json"],
        ["best", name, "--heldout", "--json"],
    ):
        subprocess.run([*funsearch, *command, "--db", db], stdout=subprocess.DEVNULL, check=True)


def result(db: str, name: str, every: int) -> Result:
    """Returns the result of a search."""
    with closing(open_storage(db, create=False)) as storage:
        evaluations = list(storage.evaluations(name))
        ((best_id, best),) = storage.best(name, 1)
        heldout = storage.heldout(name, [best_id])[best_id].scores
    later = [evaluation for evaluation in evaluations if evaluation.sample.prompt.index >= 0][every:]
    scored = [evaluation for evaluation in later if evaluation.score is not None]
    assert best.score is not None
    return Result(
        len(scored) / len(later),
        len({tuple(sorted(evaluation.scores.items())) for evaluation in scored}),
        sum(beats(evaluation, evaluations) for evaluation in scored),
        best.score,
        statistics.mean(heldout.values()),
    )


def beats(evaluation: Evaluation, evaluations: Sequence[Evaluation]) -> bool:
    """Returns whether a program scores higher than the best one in its prompt."""
    parents = evaluation.sample.prompt.parents
    shown = [score for parent in parents if (score := evaluations[parent].score) is not None]
    return evaluation.score is not None and bool(shown) and evaluation.score > max(shown)


def print_steps(db: str, name: str, count: int) -> None:
    """Prints what the steps of a search trained on, and whether the gate would have published their policies."""
    with closing(open_storage(db, create=False)) as storage:
        names = {summary.name for summary in storage.trainings()}
        for step in range(1, count + 1):
            records = storage.rounds(f"{name}-step{step}") if f"{name}-step{step}" in names else []
            if not records[1:]:
                print(f"  step {step}: nothing to train on", file=sys.stderr, flush=True)
                continue
            gain = records[1].gain
            assert gain is not None
            decision = "would publish" if gain.lower > 0 else "would not publish"
            result = f"pass@1 {gain.mean:+.3f} [{gain.lower:+.3f}, {gain.upper:+.3f}], the gate {decision} it"
            print(f"  step {step}: {records[1].selected} examples, {result}", file=sys.stderr, flush=True)


def interval(values: Sequence[float]) -> str:
    """Returns the mean with its standard error over the seeds."""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.3g} ± {error:.2g}"


if __name__ == "__main__":
    main()
