"""`funsearch ui`: serves the web page."""

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


@click.command(name="ui", short_help="Show the runs in a browser.")
@click.option(
    "--port",
    metavar="N",
    type=click.IntRange(0, 65535),
    default=8200,
    show_default=True,
    help="Port to listen on; 0 chooses a free one.",
)
@click.option("--host", metavar="HOST", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--token",
    metavar="TOKEN",
    envvar="FUNSEARCH_TOKEN",
    help="Secret that visitors need ($FUNSEARCH_TOKEN).  [default: none on this machine, otherwise a new one]",
)
@options.db_option
@options.verbosity
def command(port: int, host: str, token: str | None, db: str) -> None:
    """Shows the runs of a database in a browser, while they run: scores, islands, programs and their ancestors.

    The page is read-only. Only this machine can open it, unless --host says otherwise; other machines need the token
    that is part of the printed address.

    \b
    funsearch ui
    funsearch ui --host 0.0.0.0 --token "$(openssl rand -hex 16)"
    """
    try:
        import uvicorn

        from funsearch.web.app import create_app
    except ImportError as error:
        raise FunsearchError(f"The web page needs {error.name}: pip install 'funsearch[ui]'.") from None
    from funsearch.storage import open_storage

    if token is None and not _is_loopback(host):
        token = secrets.token_urlsafe(16)
    if token == "":
        raise FunsearchError("--token is empty: give a token, or leave the option out.")
    storage = open_storage(db, create=False)
    listener = _listen(host, port)
    name = f"[{host}]" if ":" in host else host
    click.echo(f"http://{name}:{listener.getsockname()[1]}/{f'?token={token}' if token else ''}")
    click.echo("Press Ctrl-C to stop.", err=True)
    config = uvicorn.Config(create_app(storage, token, _draw), log_level="warning", timeout_graceful_shutdown=2)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        storage.close()


def _draw(record: "RunRecord", function: "Function") -> bytes:
    """Returns a picture of what a program builds, drawn in the sandbox with the run's settings."""
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
    """Returns a socket that listens on the address and port.

    Raises:
        FunsearchError: the address or port cannot be used.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        reason = "it is in use: choose another --port, or 0 for any free one" if in_use else error.strerror or error
        raise FunsearchError(f"Cannot listen on {host} port {port}: {reason}.") from None
    return listener
