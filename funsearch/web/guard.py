"""Access to the page, and what a browser may do with it. Knows nothing about what the page shows."""

import hmac
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

COOKIE = "funsearch_token"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing is loaded from other hosts, and no script or style inside the page runs, whatever a model wrote."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Next = Callable[[Request], Awaitable[Response]]


def protect(app: FastAPI, token: str | None) -> None:
    """Restricts the page to requests that carry the token or, without a token, to this machine's own names.

    Checking the name keeps other sites out: their host names may be made to resolve to this machine (DNS rebinding).
    """

    @app.middleware("http")
    async def check(request: Request, proceed: Next) -> Response:
        response = _refusal(request, token) or await proceed(request)
        response.headers.update(HEADERS)
        if not request.url.path.startswith("/static/"):
            response.headers["Cache-Control"] = "no-store"
        return response


def _refusal(request: Request, token: str | None) -> Response | None:
    if request.method not in ("GET", "HEAD"):
        return PlainTextResponse("This page is read-only.\n", 405)
    if token is None:
        if request.url.hostname in LOOPBACK:
            return None
        return PlainTextResponse("Open this page as http://127.0.0.1, or start `funsearch ui` with --token.\n", 403)
    if _same(request.cookies.get(COOKIE, ""), token):
        return None
    if _same(request.query_params.get("token", ""), token):
        rest = request.url.remove_query_params("token")
        path = f"/{rest.path.lstrip('/')}" + (f"?{rest.query}" if rest.query else "")
        response = RedirectResponse(path, 303)
        response.set_cookie(COOKIE, token, httponly=True, samesite="strict")
        return response
    return PlainTextResponse("Use the address that `funsearch ui` printed: it ends in ?token=...\n", 401)


def _same(value: str, token: str) -> bool:
    return hmac.compare_digest(value.encode("utf-8", "replace"), token.encode("utf-8", "replace"))
