"""Inspecting a finished run: lineage, diff, plot and export."""

import itertools
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from funsearch.cli import group
from funsearch.cli.options import same_db
from funsearch.core.records import Function, HeldOut, Status
from funsearch.errors import FunsearchError
from funsearch.loading import load_problem
from funsearch.samplers.scripted import ScriptedSampler
from funsearch.search.report import Entry, standing
from funsearch.search.search import Search
from funsearch.settings.search import Settings
from funsearch.text import quoted, visible

BODIES = [
    "    return float(sum(el))\n",
    "    return 1 / 0\n",
    "    return el[0] * 2.0 - el[-1]\n",
    "    return -float(sum(el)) + el[0]\n",
    "    return float(sum(el))  # again\n",
    '    """<script>alert(1)</script> \x1b[31mred"""\n    return el[0] * 0.5\n',
]

SLOW = """import funsearch


class Slow(funsearch.ProblemEvaluator):
    inputs = {"n": 1}
    limits = funsearch.Limits(seconds=0.3)

    def evaluate(self, candidate, n):
        return candidate.f(n)
"""


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database with one run."""
    url = f"sqlite:///{tmp_path_factory.mktemp('run') / 'runs.db'}"
    settings = Settings.load(None, ["database.islands=2", "database.reset_period=8"])
    problem = load_problem("cap_set", inputs=["n=3"])
    with Search(problem, sampler=ScriptedSampler(BODIES * 3, 2), storage=url, settings=settings, name="x") as search:
        search.run()
    return url


def invoke(*args: object, db: str) -> Result:
    return CliRunner().invoke(group, [*map(str, args), "--db", db])


def answer(*args: object, db: str) -> Any:
    done = invoke(*args, "--json", db=db)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def refusal(*args: object, db: str) -> str:
    done = invoke(*args, db=db)
    assert isinstance(done.exception, FunsearchError)
    return str(done.exception)


def test_lineage_leads_from_the_first_program_to_the_requested_one(db: str) -> None:
    (best,) = answer("best", "x", db=db)
    lineage = answer("lineage", "x", best["program"], db=db)
    line = lineage["line"]
    assert (line[0]["program"], line[0]["parent"], line[-1]["program"]) == (0, None, best["program"])
    assert [step["parent"] for step in line[1:]] == [step["program"] for step in line[:-1]]
    for before, after in itertools.pairwise(line):
        assert after["gain"] == after["score"] - before["score"]
        assert after["parent"] in after["parents"]
        assert after["diff"].startswith(f"--- program {before['program']}\n")
    assert lineage["ancestors"]["0"] == []
    assert set(lineage["ancestors"]) >= {str(step["program"]) for step in line}
    assert "the first program" in invoke("lineage", "x", best["program"], db=db).stdout


def test_diff_has_scores_and_changes(db: str) -> None:
    difference = answer("diff", "x", 0, 1, db=db)
    assert (difference["a"], difference["b"], list(difference["scores"])) == (0, 1, ["n"])
    assert "+    return float(sum(el))" in difference["diff"]
    assert "+    return float(sum(el))" in invoke("diff", "x", 0, 1, db=db).stdout
    assert "same text" in invoke("diff", "x", 1, 1, db=db).stdout
    assert "no program 99" in refusal("diff", "x", 0, 99, db=db)


@pytest.mark.parametrize(("kind", "starts"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("html", b"<!doctype html>")])
def test_plot_is_written_in_the_format_of_its_name(kind: str, starts: bytes, db: str, tmp_path: Path) -> None:
    file = tmp_path / f"run.{kind}"
    assert invoke("plot", "x", "-o", file, db=db).exit_code == 0
    assert file.read_bytes().startswith(starts)


def test_plot_that_cannot_be_written_is_refused_with_the_reason(db: str, tmp_path: Path) -> None:
    assert "run.pdf" in refusal("plot", "x", "-o", tmp_path / "run.pdf", db=db)
    assert "No such file" in refusal("plot", "x", "-o", tmp_path / "nowhere" / "run.png", db=db)
    assert "no run called y" in refusal("plot", "y", "-o", tmp_path / "run.png", db=db)


def test_exported_programs_score_the_same_again(db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    assert invoke("export", "x", "-o", folder, "--top", 2, db=db).exit_code == 0
    best = answer("best", "x", "--top", 2, db=db)
    programs = sorted((folder / "programs").iterdir())
    assert [file.stem.split("_")[-1] for file in programs] == [str(entry["program"]) for entry in best]
    report = (folder / "report.md").read_text()
    command = next(line for line in report.splitlines() if line.startswith("funsearch evaluate"))
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(group, [*command.replace("funsearch evaluate", "evaluate").split(), "--json"])
    assert json.loads(done.stdout)["score"] == best[0]["score"]
    samples = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    assert sorted(sample["text"] for sample in samples) == sorted(BODIES * 3)
    assert {"OK", "RUNTIME_ERROR"} <= {sample["status"] for sample in samples}
    assert (folder / "plot.svg").exists()
    assert "not empty" in refusal("export", "x", "-o", folder, db=db)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").touch()
    assert "x exists and is not a folder: name another" in refusal("export", "x", db=db)


def test_exported_program_scores_the_same_under_the_limits_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "slow.py"
    file.write_text("import time\n\n@funsearch.evolve\ndef f(n: int) -> int:\n    return 0\n")
    file.with_name("slow_evaluator.py").write_text(SLOW)
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    settings = Settings.load(None, ["limits.seconds=20", "limits.memory_mb=300"])
    sampler = ScriptedSampler(["    time.sleep(0.6)\n    return 7\n"], 1)
    with Search(load_problem(str(file)), sampler=sampler, storage=url, settings=settings, name="x") as search:
        assert search.run().best_score == 7
    assert invoke("export", "x", "-o", tmp_path / "out", db=url).exit_code == 0
    report = (tmp_path / "out" / "report.md").read_text()
    command = next(line for line in report.splitlines() if line.startswith("funsearch evaluate"))
    assert "--limit seconds=20.0 --limit memory_mb=300" in command
    monkeypatch.chdir(tmp_path / "out")
    done = CliRunner().invoke(group, [*command.split()[1:], "--json"])
    assert json.loads(done.stdout)["score"] == 7


def test_lone_surrogate_is_escaped_or_replaced(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    answers = ["    return 1.0  # \ud800\n", "    return 1 / 0\n"]
    problem = load_problem("cap_set", inputs=["n=3"])
    with Search(problem, sampler=ScriptedSampler(answers, 1), storage=url, name="x") as search:
        search.run()
    done = invoke("show", "x", 1, db=url)
    assert (done.exit_code, "\\ud800" in done.output) == (0, True)
    assert invoke("export", "x", "-o", tmp_path / "out", "--parquet", db=url).exit_code == 0
    table = parquet.read_table(tmp_path / "out" / "samples.parquet").to_pylist()
    assert [row["text"] for row in table] == ["    return 1.0  # ?\n", "    return 1 / 0\n"]
    assert [json.loads(row["scores"]) for row in table] == [{"n": table[0]["score"]}, {}]
    assert all(isinstance(row["parents"], list) for row in table)


def test_inputs_from_files_are_exported(tmp_path: Path) -> None:
    instances = tmp_path / "tiny.json"
    instances.write_text('{"capacity": 10, "items": [3, 7, 5, 5]}')
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    problem = load_problem("bin_packing", inputs=[f"tiny=@{instances}"])
    with Search(problem, sampler=ScriptedSampler(["    return -bins\n"], 1), storage=url, name="x") as search:
        search.run()
    instances.unlink()
    assert invoke("export", "x", "-o", tmp_path / "out", db=url).exit_code == 0
    assert "--input tiny=@inputs/tiny" in (tmp_path / "out" / "report.md").read_text()
    assert json.loads((tmp_path / "out" / "inputs" / "tiny").read_text())["capacity"] == 10


def test_terminal_control_characters_are_escaped() -> None:
    assert visible("\x1b[31mred\r\x9b\n\tend \ud800") == "\\x1b[31mred\\r\\x9b\n\tend \\ud800"


def test_quoted_text_cannot_contain_markup() -> None:
    assert quoted("a\n\n# Big `x` ![i](u)\x1b[2J") == "`a # Big 'x' ![i](u)\\x1b[2J`"
    assert len(quoted("x" * 1000)) == 303


def test_passwords_are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert same_db("postgresql://me:se/c@ret@host/x") == " --db 'postgresql://me:***@host/x'"
    assert same_db("sqlite:////tmp/a b.db") == " --db 'sqlite:////tmp/a b.db'"
    assert "secret" not in refusal("list", db="postgresql://me:secret@host:54x2/db")
    monkeypatch.setenv("FUNSEARCH_DB", "postgresql://me:secret@host/x")
    assert same_db("postgresql://me:secret@host/x") == ""


def test_empty_run_is_reported(db: str, tmp_path: Path) -> None:
    copy = tmp_path / "empty.db"
    copy.write_bytes(Path(db.removeprefix("sqlite:///")).read_bytes())
    with closing(sqlite3.connect(copy)) as connection:
        for table in ("heldout", "evaluations", "samples", "prompts", "resets"):
            connection.execute(f"delete from {table}")
        connection.commit()
    url = f"sqlite:///{copy}"
    assert "nothing to draw" in refusal("plot", "x", "-o", tmp_path / "x.png", db=url)
    assert invoke("export", "x", "-o", tmp_path / "out", "--parquet", db=url).exit_code == 0
    assert "no program 0" in refusal("lineage", "x", 0, db=url)


def test_standing_names_the_held_out_inputs_that_improved_and_those_that_did_not() -> None:
    def entry(name: str, **scores: float) -> Entry:
        return Entry(name, Function("    return 0\n"), {}, 0.0, HeldOut(Status.OK, scores) if scores else None)

    own = entry("7", a=2.0, b=-1.0, c=3.0)
    assert standing([entry("best fit", a=1.5, b=-1.0), entry("first fit", c=1.0), entry("unknown")], own) == [
        "Held out, against best fit: better on a (+0.5); not better on b (+0).",
        "Held out, against first fit: better on c (+2).",
    ]
