"""Fixtures for several rooms: a PostgreSQL server, a small disk, a local Ray, a small problem with answers.

The summary of a test run says why tests were skipped.
"""

import os
import subprocess
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from needs import HAS_DRIVER, NO_POSTGRES
from sqlalchemy import create_engine, make_url, text

from funsearch.loading import Problem, load_problem
from funsearch.testing.postgres import PostgresServer, postgres_programs

POSTGRES = os.environ.get("FUNSEARCH_TEST_POSTGRES")
HAS_SERVER = postgres_programs() is not None and HAS_DRIVER

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
        return -abs(answer - value)
'''


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the reasons why tests were skipped, with the number of tests."""
    places = [report.longrepr for report in terminalreporter.stats.get("skipped", ())]
    reasons = Counter(str(place[2]).removeprefix("Skipped: ") for place in places)
    if reasons:
        terminalreporter.section("skipped tests")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} skipped: {reason}")


@pytest.fixture(scope="session")
def postgres_database() -> Iterator[str]:
    """The URL of a database to test on: FUNSEARCH_TEST_POSTGRES, or that of a server started for the tests."""
    if POSTGRES is not None:
        yield POSTGRES
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        with PostgresServer(Path(folder) / "postgres", {"fsync": "off"}) as server:
            yield server.url


@pytest.fixture
def postgres_server() -> Iterator[PostgresServer]:
    """A server that the test may stop and start."""
    if not HAS_SERVER:
        pytest.skip(NO_POSTGRES)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        with PostgresServer(Path(folder) / "postgres") as server:
            yield server


@pytest.fixture
def postgres_url(postgres_database: str) -> Iterator[str]:
    """The URL of an empty schema in the PostgreSQL database."""
    schema = f"test_{uuid.uuid4().hex}"
    url = make_url(postgres_database).set(drivername="postgresql+psycopg")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    yield url.update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of eight megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small file system")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """A local Ray for one module."""
    import ray

    from funsearch.cluster.session import start_ray

    start_ray(None)
    yield
    ray.shutdown()


@pytest.fixture
def problem_file(tmp_path: Path) -> Path:
    """The path of a small problem, a pair of files in a folder of its own."""
    (tmp_path / "problems").mkdir()
    (tmp_path / "evaluators").mkdir()
    (tmp_path / "evaluators" / "closeness.py").write_text(EVALUATOR)
    file = tmp_path / "problems" / "closeness.py"
    file.write_text(SPECIFICATION)
    return file


@pytest.fixture
def problem(problem_file: Path) -> Problem:
    """The small problem, loaded."""
    return load_problem(str(problem_file))


@pytest.fixture
def answers() -> Callable[[int], list[str]]:
    """A function that returns any number of completions, good and bad."""
    return make_answers


def make_answers(count: int) -> list[str]:
    """Returns completions of every kind: better, worse, duplicate, unreadable, raising, of a wrong type."""
    bodies = [
        "    return x\n",
        "    return x * 0.5\n",
        "    return x  # a duplicate\n",
        "this is not code (\n",
        "    return 1 / 0\n",
        "    return 'text'\n",
        "    return guess_v0(x)\n",
        "    return float('nan')\n",
    ]
    return [bodies[i % 8] if i % 3 else f"    return x + {i % 50} * 0.25\n" for i in range(count)]
