"""The pages about single programs: code, scores, prompt and output, and the difference between two programs."""

import shlex

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from funsearch.core.records import joined_notes
from funsearch.web import text
from funsearch.web.parameters import Id
from funsearch.web.programs import Programs
from funsearch.web.rendering import Pages


class ProgramPages:
    """Shows programs.

    Args:
        programs: reads them.
        pages: the templates.
        pictures: whether pictures of what programs build can be drawn.
    """

    def __init__(self, programs: Programs, pages: Pages, *, pictures: bool) -> None:
        self._programs = programs
        self._storage = programs.storage
        self._pages = pages
        self._pictures = pictures

    def router(self) -> APIRouter:
        """Returns the routes of these pages."""
        router = APIRouter(default_response_class=HTMLResponse)
        router.get("/runs/{run}/programs/{id}")(self.program)
        router.get("/runs/{run}/programs/{id}/{part}.txt")(self.part)
        router.get("/runs/{run}/diff/{a}/{b}")(self.diff)
        return router

    def program(self, run: Id, id: Id) -> HTMLResponse:
        """Shows a program beside its parents and the run's first program."""
        stored = self._programs.find(run, id)
        record, evaluation, name = stored.record, stored.evaluation, stored.run.name
        code = self._programs.source(record, evaluation)
        parents = {
            parent: self._storage.program(name, parent) for parent in dict.fromkeys(evaluation.sample.prompt.parents)
        }
        differences = {
            parent: text.difference(
                self._programs.source(record, parent_evaluation), code, (f"program {parent}", f"program {id}")
            )
            for parent, parent_evaluation in parents.items()
        }
        others = {0: self._storage.program(name, 0), **parents} if id else {}
        return self._pages.show(
            "program.html",
            run=stored.run,
            id=id,
            evaluation=evaluation,
            code=code,
            parents=parents,
            differences=differences,
            others=others,
            heldouts=self._storage.heldout(name, [id, *others]),
            training=self._training_of(evaluation.sample.model),
            notes=joined_notes(evaluation.feedback),
            newest=self._programs.views.newest(run),
            drawable=self._pictures and "def draw" in record.evaluator + record.specification,
            name=shlex.quote(name),
        )

    def part(self, run: Id, id: Id, part: str) -> Response:
        """Returns one text of a program as a plain file, in full."""
        stored = self._programs.find(run, id)
        evaluation = stored.evaluation
        texts = {
            "code": self._programs.source(stored.record, evaluation),
            "prompt": evaluation.sample.prompt.text,
            "answer": evaluation.sample.text,
            "output": evaluation.output,
            "error": evaluation.error,
        }
        if part not in texts:
            raise HTTPException(404)
        return PlainTextResponse(texts[part].encode("utf-8", "backslashreplace"))

    def diff(self, run: Id, a: Id, b: Id, bare: bool = False) -> HTMLResponse:
        """Shows what changed between two programs, as a page or, if `bare`, as a part of one."""
        after = self._programs.find(run, b)
        name, record = after.run.name, after.record
        before = self._storage.program(name, a)
        difference = text.difference(
            self._programs.source(record, before),
            self._programs.source(record, after.evaluation),
            (f"program {a}", f"program {b}"),
        )
        return self._pages.show(
            "bare_diff.html" if bare else "diff.html",
            run=after.run,
            a=a,
            b=b,
            before=before,
            after=after.evaluation,
            difference=difference,
            name=shlex.quote(name),
        )

    def _training_of(self, model: str) -> int | None:
        """Returns the number of the training that produced a policy; None for any other model."""
        name, at, _ = model.partition("@")
        trainings = self._storage.trainings() if at else []
        return next((number for number, training in enumerate(trainings, 1) if training.name == name), None)
