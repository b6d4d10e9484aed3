"""Compares ReST^EM with its controls: two rounds, one without the filter, and one round with twice the samples.

usage: python -m benchmarks.training [--tasks TASKS] [--model MODEL] [--folder FOLDER] [-- options of funsearch train]
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

SAMPLES = 16
DEFAULTS = [
    argument
    for setting in (
        "tasks.families=('gcd',)",
        "tasks.transfer_families=('lcm',)",
        "tasks.count=200",
        "tasks.heldout=200",
        "tasks.transfer=80",
        "measure.train=100",
        "measure.samples=4",
        "generate.max_tokens=16",
        "gate.pass_at_1=sampled",
    )
    for argument in ("--set", setting)
]
"""Options for the built-in model on greatest common divisors of numbers up to 30; options after -- replace them."""


def main() -> None:
    """Runs the three trainings and prints a table of their rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="reasoning")
    parser.add_argument("--model", default="")
    parser.add_argument("--folder", type=Path, default=Path("bench-train"))
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("options", nargs="*", help="passed on to funsearch train, after --")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    common = [args.tasks, *(["--model", args.model] if args.model else [])]
    common += args.options or DEFAULTS
    runs = {
        "rest-em": ["--rounds", "2", "--samples-per-task", str(args.samples)],
        # One answer of each task, so that the control trains on about as many answers.
        "unfiltered": ["--rounds", "1", "--unfiltered", "--cutoff", "1", "--samples-per-task", str(args.samples)],
        "twice": ["--rounds", "1", "--samples-per-task", str(2 * args.samples)],
    }
    print("| training | round | samples | correct | selected | held out | train | transfer | published |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, options in runs.items():
        started = time.monotonic()
        for record in train(args.folder, name, [*common, *options]):
            print(row(name, record), flush=True)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)


def train(folder: Path, name: str, options: list[str]) -> list[dict[str, object]]:
    """Returns the rounds that `funsearch train --json` prints."""
    command = [sys.executable, "-c", "from funsearch.cli import main; main()", "train", *options, "--name", name]
    out = subprocess.run(
        [*command, "--db", f"sqlite:///{folder}/training.db", "--json"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    rounds: list[dict[str, object]] = json.loads(out)["rounds"]
    return rounds


def row(name: str, record: dict[str, object]) -> str:
    """Returns a round as a row of the table."""
    cells = [name, str(record["round"]), str(record["samples"]), str(record["correct"]), str(record["selected"])]
    for split in ("heldout", "train", "transfer"):
        value = record[f"{split}_pass1"]
        cells.append("-" if value is None else f"{value:.3f} ± {record[f'{split}_pass1_se']:.3f}")
    return f"| {' | '.join(cells)} | {'yes' if record['published'] else 'no'} |"


if __name__ == "__main__":
    main()
