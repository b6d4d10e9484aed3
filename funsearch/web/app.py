"""The pages and their addresses. Reads through `funsearch.storage`, writes nothing, and runs no program."""

import shlex
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from funsearch._version import __version__
from funsearch.core.records import Evaluation, RunRecord, Status, joined_notes
from funsearch.core.specification import Specification
from funsearch.errors import FunsearchError
from funsearch.storage import SqlStorage
from funsearch.storage.views import Line, RunLine, Views
from funsearch.web import course, lineage, text
from funsearch.web.charts import Series, lines
from funsearch.web.guard import protect
from funsearch.web.islands import circles
from funsearch.web.rendering import Pages

HERE = Path(__file__).parent
TOP = 30
"""Programs on the leaderboard at first."""
LISTED = 50
"""Programs of a list on one page."""
COMPARED = 8
"""Runs that are compared at most: as many as there are colours."""

Id = Annotated[int, InPath(ge=0, le=2**31 - 1)]


def create_app(storage: SqlStorage, token: str | None = None) -> FastAPI:
    """Returns the page as an application.

    Args:
        storage: where the runs are.
        token: what visitors must bring; None lets everybody on this machine in.
    """
    app = FastAPI(title="funsearch", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    pages = Pages(HERE / "templates")
    _answer_errors(app, pages)
    _add_runs(app, storage, pages)
    _add_programs(app, storage, pages)
    protect(app, token)
    return app


def _answer_errors(app: FastAPI, pages: Pages) -> None:
    @app.exception_handler(FunsearchError)
    def refused(request: Request, error: FunsearchError) -> Response:
        return pages.show("error.html", 404, said=str(error))

    @app.exception_handler(HTTPException)
    @app.exception_handler(RequestValidationError)
    def unknown(request: Request, error: Exception) -> Response:
        return pages.show("error.html", 404, said="There is nothing at this address.")


def _add_runs(app: FastAPI, storage: SqlStorage, pages: Pages) -> None:
    views = Views(storage)

    def page(name: str, run: int, **values: Any) -> HTMLResponse:
        line = views.run(run)
        return pages.show(name, run=line, record=storage.run(line.name), **values)

    def state(line: RunLine) -> dict[str, Any]:
        """Returns what the live part of a run's page shows."""
        snapshots, resets = storage.snapshots(line.name), list(storage.resets(line.name))
        last = snapshots[-1] if snapshots else None
        parts = course.spans(snapshots)
        return {
            "last": last,
            "now": parts[-1] if parts else None,
            "charts": course.charts(snapshots, resets),
            "leaders": views.leaders(line.id, 3),
            "newest": views.newest(line.id),
        }

    @app.get("/", response_class=HTMLResponse)
    def runs() -> HTMLResponse:
        return pages.show("runs.html", runs=views.runs(), db=storage.label)

    @app.get("/runs/{run}", response_class=HTMLResponse)
    def run(run: Id) -> HTMLResponse:
        return page("run.html", run, **state(views.run(run)))

    @app.get("/runs/{run}/live", response_class=HTMLResponse)
    def live(run: Id) -> HTMLResponse:
        line = views.run(run)
        return pages.show("live.html", run=line, **state(line))

    @app.get("/runs/{run}/best", response_class=HTMLResponse)
    def best(run: Id, top: Annotated[int, Query(ge=1, le=1000)] = TOP) -> HTMLResponse:
        leaders = views.leaders(run, top)
        inputs = list(dict.fromkeys(name for leader in leaders for name in leader.scores))
        unseen = list(dict.fromkeys(name for one in leaders if one.heldout for name in one.heldout.scores))
        return page("best.html", run, leaders=leaders, inputs=inputs, unseen=unseen, top=top)

    @app.get("/runs/{run}/islands", response_class=HTMLResponse)
    def islands(run: Id) -> HTMLResponse:
        snapshots = storage.snapshots(views.run(run).name)
        stand = snapshots[-1].islands if snapshots else ()
        clusters = views.clusters(run, [island.generation for island in stand])
        return page("islands.html", run, islands=stand, rows=circles(clusters, len(stand)), clusters=clusters)

    @app.get("/runs/{run}/programs", response_class=HTMLResponse)
    def programs(run: Id, below: Annotated[int | None, Query(ge=0, le=2**31)] = None, status: str = "") -> HTMLResponse:
        newest = views.newest(run)
        start = below if below is not None else (-1 if newest is None else newest) + 1
        found = views.lines(run, start, LISTED, status or None)
        return page("programs.html", run, lines=found, status=status, words=list(Status), start=start)

    @app.get("/runs/{run}/about", response_class=HTMLResponse)
    def about(run: Id) -> HTMLResponse:
        return page("about.html", run)

    @app.get("/compare", response_class=HTMLResponse)
    def compare(run: Annotated[list[int] | None, Query()] = None) -> HTMLResponse:
        chosen = [line for line in views.runs() if line.id in (run or ())][:COMPARED]
        series, settings = [], {}
        for line in chosen:
            series.append(Series(line.name, [(s.samples, s.best_score) for s in storage.snapshots(line.name)]))
            settings[line.id] = _flat(storage.run(line.name).settings)
        chart = lines("compared", "Best score", "samples", series, stepped=True)
        return pages.show("compare.html", runs=chosen, chart_of=chart, settings=_differing(settings))


def _add_programs(app: FastAPI, storage: SqlStorage, pages: Pages) -> None:
    views = Views(storage)
    parsed = lru_cache(64)(Specification.parse)

    def source(record: RunRecord, evaluation: Evaluation) -> str:
        if evaluation.function is None:
            return ""
        return parsed(record.specification, record.problem).function_source(evaluation.function)

    def found(run: int, id: int) -> tuple[RunLine, RunRecord, Evaluation]:
        line = views.run(run)
        return line, storage.run(line.name), storage.program(line.name, id)

    @app.get("/runs/{run}/programs/{id}", response_class=HTMLResponse)
    def program(run: Id, id: Id) -> HTMLResponse:
        line, record, evaluation = found(run, id)
        prompt = evaluation.sample.prompt
        code = source(record, evaluation)
        parents = {parent: storage.program(line.name, parent) for parent in dict.fromkeys(prompt.parents)}
        compared = {
            parent: text.difference(source(record, one), code, (f"program {parent}", f"program {id}"))
            for parent, one in parents.items()
        }
        heldout = storage.heldout(line.name, [id]).get(id)
        return pages.show(
            "program.html",
            run=line,
            id=id,
            evaluation=evaluation,
            code=code,
            parents=parents,
            compared=compared,
            heldout=heldout,
            notes=joined_notes(evaluation.feedback),
            newest=views.newest(run),
            name=shlex.quote(line.name),
        )

    @app.get("/runs/{run}/programs/{id}/{part}.txt")
    def part(run: Id, id: Id, part: str) -> Response:
        _, record, evaluation = found(run, id)
        texts = {
            "code": source(record, evaluation),
            "prompt": evaluation.sample.prompt.text,
            "answer": evaluation.sample.text,
            "output": evaluation.output,
            "error": evaluation.error,
        }
        if part not in texts:
            raise HTTPException(404)
        return PlainTextResponse(texts[part].encode("utf-8", "backslashreplace"))

    @app.get("/runs/{run}/programs/{id}/lineage", response_class=HTMLResponse)
    def descent(run: Id, id: Id) -> HTMLResponse:
        line, record, _ = found(run, id)
        find = cache(lambda program: storage.program(line.name, program))
        known: dict[int, Line] = {}
        tree = lineage.tree(id, lambda ids: views.named(run, ids), known)
        steps = lineage.steps(parsed(record.specification, record.problem), id, find)
        return pages.show("lineage.html", run=line, id=id, tree=tree, steps=steps)

    @app.get("/runs/{run}/diff/{a}/{b}", response_class=HTMLResponse)
    def diff(run: Id, a: Id, b: Id, bare: bool = False) -> HTMLResponse:
        line, record, after = found(run, b)
        before = storage.program(line.name, a)
        said = text.difference(source(record, before), source(record, after), (f"program {a}", f"program {b}"))
        name = "bare_diff.html" if bare else "diff.html"
        return pages.show(name, run=line, a=a, b=b, before=before, after=after, said=said, name=shlex.quote(line.name))


def _flat(settings: Any, path: str = "") -> dict[str, str]:
    """Returns nested settings by their dotted paths."""
    if not isinstance(settings, dict):
        return {path: str(settings)}
    parts = [_flat(value, f"{path}.{key}" if path else str(key)) for key, value in settings.items()]
    return {key: value for part in parts for key, value in part.items()}


def _differing(settings: dict[int, dict[str, str]]) -> dict[str, list[str]]:
    """Returns the settings in which runs differ, by path, a value for each run."""
    paths: Iterable[str] = dict.fromkeys(path for one in settings.values() for path in one)
    values = {path: [one.get(path, "-") for one in settings.values()] for path in paths}
    return {path: row for path, row in values.items() if len(set(row)) > 1}
