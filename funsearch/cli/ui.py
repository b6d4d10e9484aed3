"""`funsearch ui`: the page that shows runs."""

import errno
import ipaddress
import secrets
import socket
from typing import TYPE_CHECKING

import click

from funsearch.cli import options
from funsearch.errors import FunsearchError

if TYPE_CHECKING:
    from funsearch.core.records import Function, RunRecord


@click.command(name="ui")
@click.option(
    "--port", metavar="N", type=click.IntRange(0, 65535), default=8200, show_default=True, help="0: any free."
)
@click.option("--host", metavar="H", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--token",
    metavar="T",
    envvar="FUNSEARCH_TOKEN",
    help="What visitors must bring ($FUNSEARCH_TOKEN).  [default: none on this machine alone, else a new one]",
)
@options.db_option
@options.verbosity
def command(port: int, host: str, token: str | None, db: str) -> None:
    """Shows the runs of a database in a browser, as they go on: scores, islands, programs and how they came about.

    The page only reads. It is for this machine alone unless --host says otherwise; then it wants a token, which is part
    of the address that is printed.

    \b
    funsearch ui
    funsearch ui --host 0.0.0.0 --token "$(openssl rand -hex 16)"
    """
    try:
        import uvicorn

        from funsearch.web.app import create_app
    except ImportError as error:
        raise FunsearchError(f"The page needs {error.name}: pip install 'funsearch[ui]'.") from None
    from funsearch.storage import open_storage

    if token is None and not _is_loopback(host):
        token = secrets.token_urlsafe(16)
    if token == "":
        raise FunsearchError("--token is empty: give one, or leave it out.")
    storage = open_storage(db, create=False)
    listener = _listen(host, port)
    name = f"[{host}]" if ":" in host else host
    click.echo(f"http://{name}:{listener.getsockname()[1]}/{f'?token={token}' if token else ''}")
    click.echo("Ctrl-C stops it.", err=True)
    config = uvicorn.Config(create_app(storage, token, _draw), log_level="warning", timeout_graceful_shutdown=2)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        storage.close()


def _draw(record: "RunRecord", function: "Function") -> bytes:
    """Returns a picture of what a program builds, run in the sandbox as the run had it."""
    from funsearch.picture import encoded
    from funsearch.search.report import Scorer

    scorer = Scorer(record)
    try:
        return encoded(scorer.draw(function, None), "png")
    finally:
        scorer.close()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens there.

    Raises:
        FunsearchError: it cannot; says why.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        remedy = "another program uses it: take another --port, or 0 for any" if taken else f"{error.strerror or error}"
        raise FunsearchError(f"Cannot listen at {host} port {port}: {remedy}.") from None
    return listener
