"""`funsearch.Run`: programs, data frames, verification, and HTML that escapes the texts of models."""

import sys
from collections.abc import Callable, Iterator
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


def test_notebook_escapes_the_texts_of_models(run: Run) -> None:
    html = run.best(2)[1]._repr_html_()
    assert "&lt;script&gt;" in html
    assert "<script>" not in html
    assert "RUNTIME_ERROR" in run.program(3)._repr_html_()
    assert run._repr_html_().startswith("<b>&lt;x&gt;</b>: closeness, 3 samples, 2 valid, best 0")


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frame_has_a_row_for_each_evaluation(library: str, run: Run) -> None:
    pytest.importorskip(library)
    frame = run.to_dataframe(library)  # type: ignore[arg-type]
    columns = "program prompt sample island parents operator model status score duplicate duplicate_of prompt_tokens"
    assert list(frame.columns) == [*columns.split(), "tokens", "seconds", "error", "code", "score.three", "score.five"]
    assert list(frame["status"]) == ["OK", "OK", "OK", "RUNTIME_ERROR"]
    assert list(frame["operator"]) == ["first", "model", "model", "model"]
    assert list(frame["score.five"])[:3] == [-5.0, 0.0, -1.0]
    assert "return x" in frame["code"][1]
    assert [list(parents) for parents in frame["parents"]] == [[], [0], [0], [0]]


def test_missing_library_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(FunsearchError, match="pip install polars"):
        run.to_dataframe("polars")


def test_unknown_run_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no run called y"):
        funsearch.Run("y", f"sqlite:///{tmp_path / 'runs.db'}")


def test_best_of_a_run_is_scored_on_held_out_inputs_and_verified(run: Run) -> None:
    assert run.best().heldout is None
    best = run.best(heldout=True)
    assert best.heldout == {"seven": 0.0}
    assert run.best().heldout == {"seven": 0.0}, "the scores are recorded"
    first, second, _ = run.verify()
    assert (first.program, first.score, first.again, first.stable, first.heldout) == (1, 0.0, 0.0, True, {"seven": 0.0})
    assert second.stable


def test_run_is_plotted(run: Run) -> None:
    pytest.importorskip("matplotlib")
    assert run.plot().axes[0].get_title() == "<x>: 3 samples"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: run.best(0), "top = 0"),
        (lambda run: run.best("2"), "top = '2'"),
        (lambda run: run.to_dataframe("excel"), "library = 'excel'"),
        (lambda run: Run(3), "name = 3"),
        (lambda run: Run("<x>", 3), "storage = 3"),
        (lambda run: run.program(99), "has no program 99"),
    ],
)
def test_invalid_argument_is_refused(call: Callable[[Run], object], message: str, run: Run) -> None:
    with pytest.raises(FunsearchError, match=message):
        call(run)
