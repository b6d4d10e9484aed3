"""ReST^EM beside its controls: two rounds, the same without the filter, and one round with twice the samples.

usage: python -m benchmarks.training [--tasks TASKS] [--model MODEL] [--folder FOLDER] [-- options of funsearch train]
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SAMPLES = 16
DEFAULTS = [
    text
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
    for text in ("--set", setting)
]
"""Of the built-in model on greatest common divisors of numbers up to 30; a user's own options take their place."""


def main() -> None:
    """Runs the three trainings and prints a table of their rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="reasoning")
    parser.add_argument("--model", default="")
    parser.add_argument("--folder", type=Path, default=Path("bench-train"))
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("options", nargs="*", help="passed on to funsearch train, after --")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    common = [given.tasks, *(["--model", given.model] if given.model else [])]
    common += given.options or DEFAULTS
    runs = {
        "rest-em": ["--rounds", "2", "--samples-per-task", str(given.samples)],
        # One answer of each task, so that the control trains on about as many.
        "unfiltered": ["--rounds", "1", "--unfiltered", "--cutoff", "1", "--samples-per-task", str(given.samples)],
        "twice": ["--rounds", "1", "--samples-per-task", str(2 * given.samples)],
    }
    print("| training | round | samples | right | selected | held out | train | transfer | published |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, options in runs.items():
        started = time.monotonic()
        done = train(given.folder, name, [*common, *options])
        for record in done["rounds"]:
            print(row(name, record), flush=True)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)


def train(folder: Path, name: str, options: list[str]) -> dict[str, Any]:
    """Returns what `funsearch train --json` says."""
    command = [sys.executable, "-c", "from funsearch.cli import main; main()", "train", *options, "--name", name]
    out = subprocess.run(
        [*command, "--db", f"sqlite:///{folder}/training.db", "--json"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    found: dict[str, Any] = json.loads(out)
    return found


def row(name: str, record: dict[str, Any]) -> str:
    """Returns a round as a line of the table."""
    cells = [name, str(record["round"]), str(record["samples"]), str(record["correct"]), str(record["selected"])]
    for split in ("heldout", "train", "transfer"):
        value = record[f"{split}_pass1"]
        cells.append("-" if value is None else f"{value:.3f} ± {record[f'{split}_pass1_se']:.3f}")
    return f"| {' | '.join(cells)} | {'yes' if record['published'] else 'no'} |"


if __name__ == "__main__":
    main()
