"""Who may see the page, and what the page may do in a browser. Knows nothing about what is on it."""

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
"""Nothing comes from elsewhere, and no script or style stands in the page itself, whatever a model wrote."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Next = Callable[[Request], Awaitable[Response]]


def protect(app: FastAPI, token: str | None) -> None:
    """Lets those in who have the token; without one, those who ask for this machine by one of its own names.

    The latter keeps pages of other sites out, whose names may be made to lead here.
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
        return PlainTextResponse("This page is for reading.\n", 405)
    if token is None:
        if request.url.hostname in LOOPBACK:
            return None
        return PlainTextResponse("Ask for this page at http://127.0.0.1, or start it with --token.\n", 403)
    if _same(request.cookies.get(COOKIE, ""), token):
        return None
    if _same(request.query_params.get("token", ""), token):
        rest = request.url.remove_query_params("token")
        place = f"/{rest.path.lstrip('/')}" + (f"?{rest.query}" if rest.query else "")
        response = RedirectResponse(place, 303)
        response.set_cookie(COOKIE, token, httponly=True, samesite="strict")
        return response
    return PlainTextResponse("Add ?token=... to the address, as `funsearch ui` printed it.\n", 401)


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode("utf-8", "replace"))
