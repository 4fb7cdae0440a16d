"""Who may see the board: this machine alone, or whoever has the token; and what a browser is told to refuse.

On a loopback address a request must name that address as its host, so that a page of another site cannot reach the
board under a name that it lets point here (DNS rebinding). On any other address the first link carries a token, which
becomes a cookie. What changes anything is a form with a secret of this server's, sent from its own pages.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "ablata_board"
LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


def is_loopback(host: str) -> bool:
    """Tell whether an address to listen on is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Access:
    """The rules of one server.

    Args:
        token: what the first link must carry; None on a loopback address: none is asked for.
        read_only: nothing can be started, stopped or removed.
        csrf: the secret of the server's own forms.
    """

    token: str | None = None
    read_only: bool = False
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    def allows_form(self, request: Request, sent: Mapping[str, str]) -> bool:
        """Tell whether a form comes from one of this server's pages."""
        origin = request.headers.get("origin")
        own = origin is None or urlsplit(origin).netloc == request.headers.get("host", "")
        return own and hmac.compare_digest(sent.get("csrf", "").encode(), self.csrf.encode())


class Gate:
    """ASGI middleware: refuses foreign hosts and requests without the token, and sets the security headers."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        nonce = secrets.token_urlsafe(16)
        scope.setdefault("state", {})["nonce"] = nonce
        refused = self._refusal(scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _protect(MutableHeaders(scope=message), nonce)
            await send(message)

        await (self._app if refused is None else refused)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        try:
            asked = urlsplit(f"//{headers.get('host', '')}")
            host, port = asked.hostname or "", asked.port or 80
        except ValueError:
            host, port = "", 80
        token = self._access.token
        if token is None:
            if host not in LOCAL_NAMES and not is_loopback(host):
                return PlainTextResponse("The board answers under 127.0.0.1 and localhost only.\n", status_code=400)
            return None
        query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        # Browsers do not tell the ports of one host apart: two boards would take each other's cookie away.
        cookie = f"{COOKIE}_{port}"
        kept = cookie_parser(headers.get("cookie", "")).get(cookie, "")
        if _equal(kept, token):
            return None
        if _equal(query.pop("token", ""), token):
            rest = f"?{urlencode(query)}" if query else ""
            welcome = RedirectResponse(f"/{scope['path'].lstrip('/')}{rest}", status_code=303)
            welcome.set_cookie(cookie, token, httponly=True, samesite="strict", path="/")
            return welcome
        return PlainTextResponse("The board asks for its token: open the link that it printed.\n", status_code=403)


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _protect(headers: MutableHeaders, nonce: str) -> None:
    """Tell the browser to load nothing from elsewhere, and to run only the scripts of this page."""
    headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Referrer-Policy"] = "same-origin"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers.setdefault("Cache-Control", "no-store")
