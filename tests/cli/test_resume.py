"""`funsearch resume` with other samplers, and of runs that were started from Python."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from funsearch.cli import group
from funsearch.core.records import Prompt
from funsearch.errors import ConfigError
from funsearch.loading import load_problem
from funsearch.search.search import Search
from funsearch.storage import open_storage


def shrink(prompt: Prompt, count: int) -> list[str]:
    """A sampler that is a Python function."""
    return [f"    return el[0] * {prompt.index}.{index}\n" for index in range(count)]


@pytest.fixture
def db(tmp_path: Path) -> str:
    """The URL of a database with the run `caps`, which was started from Python."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    with Search(load_problem("cap_set", inputs=["n=3"]), sampler=shrink, storage=url, name="caps") as search:
        search.run(max_samples=4)
    return url


def refusal(*args: str, db: str) -> str:
    """Returns the message with which `funsearch resume caps` refuses, after checking that the run is unchanged."""
    before = open_storage(db).runs()
    result = CliRunner().invoke(group, ["resume", "caps", *args, "--db", db])
    assert isinstance(result.exception, ConfigError)
    assert open_storage(db).runs() == before
    return str(result.exception)


def test_run_started_from_python_is_refused_with_both_remedies(db: str) -> None:
    message = refusal(db=db)
    assert "The run caps was started from Python with the sampler python:shrink" in message
    assert "funsearch.Search.resume('caps', sampler=...)" in message
    assert "--sampler" in message


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("--sampler", "python:shrink"), "Unknown sampler python:shrink"),
        (("--sampler", "scripted:absent.jsonl"), "There is no file absent.jsonl"),
        (("--sampler", "openai:m", "--max-cost", "3"), "--max-cost needs a price list"),
    ],
)
def test_unusable_option_is_refused(args: tuple[str, ...], expected: str, db: str) -> None:
    assert expected in refusal(*args, db=db)


@pytest.mark.ray
def test_other_sampler_resumes_a_run_that_was_started_from_python(
    db: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(json.dumps({"text": f"    return {n}.5 - el[-1]\n"}) + "\n" for n in range(40)))
    command = ["resume", "caps", "--sampler", f"scripted:{answers}", "--evaluators", "2", "--samples", "12"]
    with pytest.raises(SystemExit) as ended:
        group([*command, "--db", db, "--json"], standalone_mode=False)
    assert ended.value.code == 0
    result = json.loads(capfd.readouterr().out)
    assert (result["run"], result["samples"]) == ("caps", 12)
    storage = open_storage(db)
    models = [evaluation.sample.model for evaluation in storage.evaluations("caps")]
    assert models.count("shrink") == 4
    assert models.count("scripted") == 8
    storage.close()
    assert "python:shrink" in refusal(db=db), "the recorded sampler was replaced"
