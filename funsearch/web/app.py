"""Puts the page together. It reads through `funsearch.storage` and writes nothing."""

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from funsearch._version import __version__
from funsearch.errors import FunsearchError
from funsearch.storage import SqlStorage
from funsearch.web.guard import protect
from funsearch.web.program_pages import Draw, add_program_pages
from funsearch.web.rendering import Pages
from funsearch.web.run_pages import add_run_pages
from funsearch.web.training_pages import add_training_pages

HERE = Path(__file__).parent


def create_app(storage: SqlStorage, token: str | None = None, draw: Draw | None = None) -> FastAPI:
    """Returns the page as an application.

    Args:
        storage: where the runs are.
        token: what visitors must bring; None lets everybody on this machine in.
        draw: makes pictures of what programs build; None for no pictures.
    """
    app = FastAPI(title="funsearch", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    pages = Pages(HERE / "templates")
    _answer_errors(app, pages)
    add_run_pages(app, storage, pages)
    add_program_pages(app, storage, pages, draw)
    add_training_pages(app, storage, pages)
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
