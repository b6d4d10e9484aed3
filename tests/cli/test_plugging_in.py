"""Problems of users on the command line: the one-file formats of the reference, and a package with a problem."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

INT = '''"""Finds large cap sets."""
import itertools
import numpy as np
import funsearch


@funsearch.run
def evaluate(n: int) -> int:
    """Returns the size of an `n`-dimensional cap set."""
    return len(solve(n))


def solve(n: int) -> np.ndarray:
    """Returns a large cap set in `n` dimensions."""
    vectors = np.array(list(itertools.product((0, 1, 2), repeat=n)), dtype=np.int32)
    priorities = np.array([priority(tuple(map(int, vector)), n) for vector in vectors], dtype=float)
    chosen = np.empty((0, n), dtype=np.int32)
    while np.any(priorities != -np.inf):
        best = int(np.argmax(priorities))
        thirds = -(chosen + vectors[best]) % 3
        priorities[[int(np.flatnonzero((vectors == third).all(axis=1))[0]) for third in thirds]] = -np.inf
        priorities[best] = -np.inf
        chosen = np.concatenate([chosen, vectors[best][None]])
    return chosen


@funsearch.evolve
def priority(el: tuple[int, ...], n: int) -> float:
    """Returns the priority of adding `el`."""
    return 0.0
'''
DICT = '''"""Packs bins online."""
import numpy as np
import funsearch


@funsearch.run
def evaluate(instances: dict) -> float:
    """Returns minus the mean number of bins over a dict of instances."""
    used = []
    for name in instances:
        capacity, items = instances[name]["capacity"], instances[name]["items"]
        bins = np.full(len(items), capacity)
        for item in items:
            valid = np.nonzero(bins >= item)[0]
            bins[valid[np.argmax(priority(item, bins[valid]))]] -= item
        used.append((bins != capacity).sum())
    return -float(np.mean(used))


@funsearch.evolve
def priority(item: float, bins: np.ndarray) -> np.ndarray:
    """Returns the priority of each bin."""
    return item - bins
'''
TWO = '''"""Chooses places."""
import itertools
import funsearch


@funsearch.run
def evaluate(n: int, w: int) -> float:
    """Returns the sum of the priorities of all vectors of weight `w`."""
    return sum(priority(v, n, w) for v in itertools.product((0, 1, 2), repeat=n) if n - v.count(0) == w)


@funsearch.evolve
def priority(el: tuple[int, ...], n: int, w: int = 1) -> float:
    """Returns the priority of adding `el`."""
    return 1.0
'''
FORMATS: dict[str, tuple[str, str, float, str, float]] = {
    "an int": (INT, "n=3", 8.0, "def priority(el, n):\n    return -float(sum(el))\n", 8.0),
    "a dict of instances": (
        DICT,
        "or={'a': {'capacity': 10, 'items': [5, 6, 5, 4]}, 'b': {'capacity': 9, 'items': [3, 3, 3, 1]}}",
        -2.0,
        "def priority(item, bins):\n    return bins - item\n",
        -4.0,
    ),
    "two arguments": (TWO, "A=(3, 2)", 12.0, "def priority(el, n, w=1):\n    return el[0] + w\n", 36.0),
}


def funsearch(*args: str, cwd: Path, **env: str) -> str:
    command = [sys.executable, "-c", "from funsearch.cli import main; main()", *args]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, **env}, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", FORMATS)
def test_format_of_the_reference_is_checked_and_scored(name: str, tmp_path: Path) -> None:
    text, value, first, candidate, score = FORMATS[name]
    (tmp_path / "one.py").write_text(text)
    (tmp_path / "candidate.py").write_text(candidate)
    checked = json.loads(funsearch("check", "one.py", "--input", value, "--json", cwd=tmp_path))
    assert (checked["status"], checked["score"]) == ("OK", first)
    evaluated = json.loads(funsearch("evaluate", "one.py", "candidate.py", "--input", value, "--json", cwd=tmp_path))
    assert (evaluated["status"], evaluated["score"], evaluated["error"]) == ("OK", score, "")


def install(folder: Path) -> None:
    """Writes what installing a package with a problem leaves in a folder of `sys.path`."""
    texts = {
        "problems": '"""Guesses."""\nimport funsearch\n\n'
        "@funsearch.evolve\ndef guess(x: float) -> float:\n    return 0.0\n",
        "evaluators": "import funsearch\n\nclass Near(funsearch.ProblemEvaluator):\n    inputs = {'three': 3.0}\n\n"
        "    def evaluate(self, candidate, value):\n        return -abs(candidate.guess(value) - value)\n",
    }
    for kind, text in texts.items():
        (folder / "guessing" / kind).mkdir(parents=True)
        (folder / "guessing" / kind / "near.py").write_text(text)
    metadata = folder / "guessing-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: guessing\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[funsearch.problems]\nnearest = guessing.problems.near\n")


@pytest.mark.ray
def test_problem_of_a_package_is_listed_checked_and_searched(tmp_path: Path) -> None:
    install(tmp_path / "site")
    (tmp_path / "answers.jsonl").write_text('{"text": "    return x"}\n{"text": "    return 1.0"}\n')

    def answer(*args: str) -> Any:
        return json.loads(funsearch(*args, "--json", cwd=tmp_path, PYTHONPATH=str(tmp_path / "site")))

    assert ("nearest", "guessing") in {(problem["name"], problem["origin"]) for problem in answer("problems")}
    assert answer("check", "nearest")["score"] == -3.0
    result = answer("run", "nearest", "--sampler", "scripted:answers.jsonl", "--name", "one")
    assert (result["samples"], result["best_score"]) == (2, 0.0)
    assert "return x" in answer("best", "one")[0]["code"]
