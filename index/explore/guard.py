"""What stands before the page: who may ask, and what a browser may do with the answer."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# No source of scripts, styles or pictures but the page itself; blob: is the photo's preview.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


class Guard:
    """Answers requests of this machine's own page alone, and adds the headers that bind it.

    A page elsewhere may name this server by a host of its own that resolves to loopback, so the
    name must be one of loopback's; and it may send requests without reading the answers, so each
    must come from the page itself or from the address bar.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_bound(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        problem = refusal(scope["method"], Headers(scope=scope))
        app = self._app if problem is None else PlainTextResponse(problem, 403)
        await app(scope, receive, send_bound)


def refusal(method: str, headers: Headers) -> str | None:
    """Why a request is refused; None where it is answered."""
    host = headers.get("host", "")
    if _name_of(host) not in LOOPBACK:
        return f"Refused: this page is at a loopback address such as 127.0.0.1, not at {host!r}."
    # Browsers send it with every request; other programs have no page that could be tricked.
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "Refused: the request comes from a page of another origin."
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host.lower()}":
        return f"Refused: the request comes from another origin, {origin!r}."
    if method not in ("GET", "HEAD", "POST"):
        return f"Refused: {method} is no method of this page."
    return None


def _name_of(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
