"""Runs made by the search itself from scripted answers, and the page that shows them."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from funsearch.core.records import HeldOut, Status
from funsearch.loading import Problem, load_problem
from funsearch.samplers.scripted import ScriptedSampler
from funsearch.search.search import Search
from funsearch.settings.search import Settings
from funsearch.storage import SqlStorage, open_storage
from funsearch.testing import InProcessSandbox
from funsearch.web.app import create_app

SPECIFICATION = '''"""Finds a number close to the target."""
import funsearch


@funsearch.evolve
def guess(x: float) -> float:
    """Returns a guess of the target."""
    return 0.0
'''

EVALUATOR = '''"""Scores how close the guess is."""
import funsearch


class Closeness(funsearch.ProblemEvaluator):
    inputs = {"three": 3.0, "five": 5.0}
    heldout = {"seven": 7.0}
    limits = funsearch.Limits(seconds=5.0)

    def evaluate(self, candidate, value):
        answer = candidate.guess(value)
        if not isinstance(answer, (int, float)):
            raise funsearch.InvalidSolution(f"not a number: {answer!r}")
        return funsearch.Result(-abs(answer - value), f"guessed {answer:.3f}", {"answer": answer})
'''

HOSTILE = {
    "html": '    """</pre><script>alert(1)</script><img src=x onerror=alert(2)>&amp;"""\n    return x * 0.97\n',
    "ansi": '    y = "\\x1b[31m\x1b[31mred\x1b[0m\x07"\n    return x * 0.98\n',
    "bidi": '    z = "\u202e evil \u2066 \u200b"\n    return x * 0.985\n',
    "huge": "    return x * 0.99\n" + "# " + "<b>long</b> " * 900_000,
    "surrogate": '    w = "\ud800"\n    return x * 0.5\n',
    "fails": "    raise ValueError('<script>alert(3)</script>\x1b[2J')\n",
}
"""Completions that a model may write; some of them can be read as programs."""


def answers(count: int) -> list[str]:
    """Returns completions that improve overall, with some failures and duplicates among them."""
    rng = random.Random(1)
    texts = []
    for index in range(count):
        error = 2.0 * 0.985**index * (0.3 + rng.random())
        good = f"    scale = {1 - error / 5:.4f}\n    return x * scale + {error / 3:.4f}\n"
        bad = ["    return 1 / 0\n", "no code (\n", "    return 'text'\n", "    return x * 0.5\n"]
        texts.append(bad[index % 4] if rng.random() < 0.35 else good)
    return texts


@pytest.fixture(scope="session")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    """A small problem."""
    folder = tmp_path_factory.mktemp("problem")
    for name, text in (("problems", SPECIFICATION), ("evaluators", EVALUATOR)):
        (folder / name).mkdir()
        (folder / name / "closeness.py").write_text(text)
    return load_problem(str(folder / "problems" / "closeness.py"))


@pytest.fixture(scope="session")
def searched(problem: Problem) -> Callable[..., Search]:
    """Makes runs: each search takes one sample per text, and stays open."""

    def make(storage: SqlStorage, name: str, texts: list[str], seed: int = 0, *overrides: str) -> Search:
        settings = Settings.load(
            None, ["database.islands=4", "database.reset_period=60", "prompts_in_flight=3", *overrides]
        )
        sampler = ScriptedSampler(texts, samples_per_prompt=4)
        parts = {"sampler": sampler, "sandbox": InProcessSandbox(), "storage": storage, "settings": settings}
        search = Search(problem, name=name, seed=seed, **parts)
        search.run()
        return search

    return make


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory, searched: Callable[..., Search]) -> Iterator[SqlStorage]:
    """Four runs: two that finished, one with hostile texts, and one that is still running."""
    storage = open_storage(str(tmp_path_factory.mktemp("web") / "runs.db"))
    searched(storage, "closeness-1", answers(240)).close()
    best = [id for id, _ in storage.best("closeness-1", 3)]
    storage.add_heldout("closeness-1", {id: HeldOut(Status.OK, {"seven": -0.125}) for id in best})
    prices = "prices={'*': {'prompt': 1.0, 'completion': 2.0}}"
    searched(storage, "closeness-2", answers(160)[::-1], 1, prices).close()
    searched(storage, "<script>alert(0)</script>", list(HOSTILE.values())).close()
    running = searched(storage, "closeness-3", answers(40))
    storage.set_state("closeness-3", "running")
    yield storage
    running.close()
    storage.close()


@pytest.fixture(scope="session")
def page(database: SqlStorage) -> Iterator[TestClient]:
    """A client of the page, which shows the four runs; their ids are 1 to 4."""
    with TestClient(create_app(database), base_url="http://127.0.0.1:8200") as client:
        yield client


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[SqlStorage]:
    """A database without runs."""
    storage = open_storage(str(tmp_path / "empty.db"))
    yield storage
    storage.close()
