"""Assembles the web application. It reads through `funsearch.storage` and writes nothing."""

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
from funsearch.web.lineage_pages import LineagePages
from funsearch.web.picture_pages import Draw, PicturePages
from funsearch.web.program_pages import ProgramPages
from funsearch.web.programs import Programs
from funsearch.web.rendering import Pages
from funsearch.web.run_pages import RunPages
from funsearch.web.training_pages import TrainingPages

HERE = Path(__file__).parent


def create_app(storage: SqlStorage, token: str | None = None, draw: Draw | None = None) -> FastAPI:
    """Returns the web application.

    Args:
        storage: holds the runs.
        token: what visitors must present; None admits requests from this machine only.
        draw: draws pictures of what programs build; None disables pictures.
    """
    app = FastAPI(title="funsearch", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    pages = Pages(HERE / "templates")
    programs = Programs(storage)
    _handle_errors(app, pages)
    app.include_router(RunPages(storage, pages).router())
    app.include_router(ProgramPages(programs, pages, pictures=draw is not None).router())
    app.include_router(LineagePages(programs, pages).router())
    app.include_router(PicturePages(programs, pages, draw).router())
    app.include_router(TrainingPages(storage, pages).router())
    protect(app, token)
    return app


def _handle_errors(app: FastAPI, pages: Pages) -> None:
    @app.exception_handler(FunsearchError)
    def refused(request: Request, error: FunsearchError) -> Response:
        return pages.show("error.html", 404, message=str(error))

    @app.exception_handler(HTTPException)
    @app.exception_handler(RequestValidationError)
    def unknown(request: Request, error: Exception) -> Response:
        return pages.show("error.html", 404, message="There is nothing at this address.")
