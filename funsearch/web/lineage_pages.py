"""The page that shows the ancestors of a program."""

import shlex
from functools import cache

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from funsearch.core.records import Evaluation
from funsearch.web import lineage
from funsearch.web.parameters import Id
from funsearch.web.programs import Programs
from funsearch.web.rendering import Pages


class LineagePages:
    """Shows the line of descent of a program and the tree of programs in the prompts behind it."""

    def __init__(self, programs: Programs, pages: Pages) -> None:
        self._programs = programs
        self._pages = pages

    def router(self) -> APIRouter:
        """Returns the route of this page."""
        router = APIRouter(default_response_class=HTMLResponse)
        router.get("/runs/{run}/programs/{id}/lineage")(self.descent)
        return router

    def descent(self, run: Id, id: Id) -> HTMLResponse:
        """Shows how a program came about."""
        stored = self._programs.find(run, id)

        @cache
        def evaluation(program: int) -> Evaluation:
            return self._programs.storage.program(stored.run.name, program)

        tree = lineage.tree(id, lambda ids: self._programs.views.named(run, ids))
        steps = lineage.steps(self._programs.specification(stored.record), id, evaluation)
        return self._pages.show(
            "lineage.html", run=stored.run, name=shlex.quote(stored.run.name), id=id, tree=tree, steps=steps
        )
