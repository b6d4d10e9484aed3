"""A run in a notebook: what it says, and that what a model wrote shows as text."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import funsearch
from funsearch import Run
from funsearch.errors import FunsearchError, StorageError
from funsearch.loading import Problem
from funsearch.samplers.scripted import ScriptedSampler
from funsearch.search.search import Search
from funsearch.testing import InProcessSandbox

BODIES = ["    return x\n", '    tag = "<script>"\n    return x + 1\n', "    return 1 / 0\n"]


@pytest.fixture
def run(problem: Problem, tmp_path: Path) -> Iterator[Run]:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    sampler = ScriptedSampler(BODIES, 1)
    with Search(problem, sampler=sampler, sandbox=InProcessSandbox(), storage=url, name="<x>") as search:
        search.run()
    with Run("<x>", url) as opened:
        yield opened


def test_programs_are_read_with_code_and_scores(run: Run) -> None:
    best, second = run.best(2)
    assert best.score == 0.0
    assert best.scores == {"three": 0.0, "five": 0.0}
    assert "return x" in best.code
    assert (second.score, second.heldout) == (-1.0, None)
    failed = run.program(3)
    assert (failed.status, failed.score) == ("RUNTIME_ERROR", None)
    assert run.lineage(best.id)[0].id == 0


def test_notebook_shows_texts_as_text(run: Run) -> None:
    shown = run.best(2)[1]._repr_html_()
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown
    assert "RUNTIME_ERROR" in run.program(3)._repr_html_()
    assert run._repr_html_().startswith("<b>&lt;x&gt;</b>: closeness, 3 samples, 2 valid, best 0")


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frame_has_a_row_for_each_evaluation(library: str, run: Run) -> None:
    pytest.importorskip(library)
    frame = run.to_dataframe(library)  # type: ignore[arg-type]
    assert list(frame.columns) == ["program", "island", "status", "score", "duplicate"]
    assert list(frame["status"]) == ["OK", "OK", "OK", "RUNTIME_ERROR"]


def test_missing_library_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(FunsearchError, match="pip install polars"):
        run.to_dataframe("polars")


def test_unknown_run_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no run called y"):
        funsearch.Run("y", f"sqlite:///{tmp_path / 'runs.db'}")
