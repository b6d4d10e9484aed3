"""The pages about single programs: what it is, how it came about, what changed, and what it builds."""

import shlex
import threading
from collections.abc import Callable
from functools import cache, lru_cache

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from funsearch.core.records import Evaluation, Function, RunRecord, joined_notes
from funsearch.core.specification import Specification
from funsearch.storage import SqlStorage
from funsearch.storage.views import Line, RunLine, Views
from funsearch.web import lineage, text
from funsearch.web.rendering import Pages
from funsearch.web.run_pages import Id

Draw = Callable[[RunRecord, Function], bytes]
"""Returns a PNG of what a program builds, having run it in a sandbox."""
PICTURES = 64
"""Pictures that are kept, so that no program is run twice for looking at it again."""


def add_program_pages(app: FastAPI, storage: SqlStorage, pages: Pages, draw: Draw | None) -> None:
    """Adds them to the application."""
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
        others = {0: storage.program(line.name, 0), **parents} if id else {}
        heldout = storage.heldout(line.name, [id, *others])
        return pages.show(
            "program.html",
            run=line,
            id=id,
            evaluation=evaluation,
            code=code,
            parents=parents,
            compared=compared,
            others=others,
            heldouts=heldout,
            training=_training_of(evaluation.sample.model),
            notes=joined_notes(evaluation.feedback),
            newest=views.newest(run),
            drawable=draw is not None and "def draw" in record.evaluator + record.specification,
            name=shlex.quote(line.name),
        )

    def _training_of(model: str) -> int | None:
        """Returns the place of the training that made a policy, None if none did."""
        name, at, _ = model.partition("@")
        every = storage.trainings() if at else []
        return next((place for place, one in enumerate(every, 1) if one.name == name), None)

    one_at_a_time = threading.Lock()

    @lru_cache(PICTURES)
    def drawn(run: int, id: int) -> bytes:
        _, record, evaluation = found(run, id)
        if draw is None or evaluation.function is None:
            raise HTTPException(404)
        return draw(record, evaluation.function)

    def only_from_here(request: Request) -> None:
        """Drawing runs a program: no other site may have that done."""
        if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            raise HTTPException(404)

    @app.get("/runs/{run}/programs/{id}/picture.png")
    def picture(run: Id, id: Id, request: Request) -> Response:
        only_from_here(request)
        with one_at_a_time:
            return Response(drawn(run, id), media_type="image/png")

    @app.get("/runs/{run}/programs/{id}/picture", response_class=HTMLResponse)
    def look(run: Id, id: Id, request: Request) -> HTMLResponse:
        only_from_here(request)
        with one_at_a_time:
            drawn(run, id)
        return pages.show("picture.html", run=views.run(run), id=id)

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
