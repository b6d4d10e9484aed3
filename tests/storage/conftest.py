"""The databases under test, each of which can be opened again, and the records that the tests write."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from needs import needs_postgres

from funsearch.core.records import Evaluation, Function, Prompt, RunRecord, Sample, Status
from funsearch.storage import SqlStorage, open_storage


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a database file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'runs.db'}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=needs_postgres)])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of each kind that several processes can open."""
    value: str = request.getfixturevalue(f"{request.param}_url")
    return value


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=needs_postgres)])
def reopen(request: pytest.FixtureRequest) -> Iterator[Callable[[], SqlStorage]]:
    """A function that opens the same database every time; one in memory stays open instead."""
    opened: list[SqlStorage] = []
    in_memory = request.param == "memory"
    url = "sqlite://" if in_memory else request.getfixturevalue(f"{request.param}_url")

    def open_again() -> SqlStorage:
        if not (in_memory and opened):
            opened.append(open_storage(url))
        return opened[-1]

    yield open_again
    for storage in opened:
        storage.close()


@pytest.fixture
def storage(reopen: Callable[[], SqlStorage]) -> SqlStorage:
    """A storage with one empty run, `demo`."""
    storage = reopen()
    storage.create_run(Make.run())
    return storage


class Make:
    """Makes records, with default values for what a test does not name."""

    @staticmethod
    def run(name: str = "demo", **changes: Any) -> RunRecord:
        settings = {"seed": 7, "sampler": {"temperature": 0.9}, "inputs": ["a", 1, None, True]}
        values = {"settings": settings, "sandbox": "L2", "created": 1_700_000_000.25} | changes
        return RunRecord(
            name=name, problem="cap_set", specification="def f(): ...\n", evaluator="class Evaluator: ...\n", **values
        )

    @staticmethod
    def prompt(index: int, after: int = 0) -> Prompt:
        return Prompt(
            index=index,
            island=index % 3,
            resets=1,
            text=f"def f_v{index}():",
            version=2,
            parents=(0, index),
            after=after,
        )

    @staticmethod
    def sample(prompt: Prompt, index: int = 0, tokens: int = 5) -> Sample:
        return Sample(
            prompt=prompt,
            index=index,
            text=f"    return {index}\n",
            model="model-a",
            finish_reason="stop",
            prompt_tokens=11,
            tokens=tokens,
        )

    @staticmethod
    def evaluation(sample: Sample, score: float | None = 1.0, **changes: Any) -> Evaluation:
        key = f"{sample.prompt.index}/{sample.index}"
        scores = {} if score is None else {"b": score, "a": 0.1}
        status = Status.RUNTIME_ERROR if score is None else Status.OK
        values = {"key": key, "scores": scores, "score": score, "seconds": 0.5, "sandbox": "L2"} | changes
        return Evaluation(sample=sample, status=status, function=Function(sample.text, "import math\n"), **values)

    @classmethod
    def evaluated(cls, index: int, score: float | None = 1.0, **changes: Any) -> tuple[Prompt, Sample, Evaluation]:
        prompt = cls.prompt(index)
        sample = cls.sample(prompt)
        return prompt, sample, cls.evaluation(sample, score, **changes)


@pytest.fixture
def make() -> type[Make]:
    """Makes records."""
    return Make
