"""Pictures of what programs build, drawn on request."""

import threading
from collections.abc import Callable
from functools import lru_cache

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from funsearch.core.records import Function, RunRecord
from funsearch.web.parameters import Id
from funsearch.web.programs import Programs
from funsearch.web.rendering import Pages

Draw = Callable[[RunRecord, Function], bytes]
"""Runs a program in a sandbox and returns a PNG of what it builds."""
CACHED_PICTURES = 64
"""Pictures that are kept, so that looking at one again does not run its program again."""


class PicturePages:
    """Draws pictures, one at a time. Without `draw` there are none."""

    def __init__(self, programs: Programs, pages: Pages, draw: Draw | None) -> None:
        self._programs = programs
        self._pages = pages
        self._draw = draw
        self._one_at_a_time = threading.Lock()
        self._cached = lru_cache(CACHED_PICTURES)(self._drawn)

    def router(self) -> APIRouter:
        """Returns the routes of these pages."""
        router = APIRouter()
        router.get("/runs/{run}/programs/{id}/picture.png")(self.image)
        router.get("/runs/{run}/programs/{id}/picture", response_class=HTMLResponse)(self.page)
        return router

    def image(self, run: Id, id: Id, request: Request) -> Response:
        """Returns the picture of a program."""
        return Response(self._picture(run, id, request), media_type="image/png")

    def page(self, run: Id, id: Id, request: Request) -> HTMLResponse:
        """Shows the picture of a program."""
        self._picture(run, id, request)
        return self._pages.show("picture.html", run=self._programs.views.run(run), id=id)

    def _picture(self, run: int, id: int, request: Request) -> bytes:
        # Drawing runs a program, so requests that come from other sites are refused.
        if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            raise HTTPException(404)
        with self._one_at_a_time:
            return self._cached(run, id)

    def _drawn(self, run: int, id: int) -> bytes:
        stored = self._programs.find(run, id)
        if self._draw is None or stored.evaluation.function is None:
            raise HTTPException(404)
        return self._draw(stored.record, stored.evaluation.function)
