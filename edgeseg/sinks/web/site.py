"""The pages of the web server: who may ask for them is checked here, what they say comes from the `Show`."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from edgeseg.errors import EdgesegError, UsageError
from edgeseg.sinks.web.access import Access
from edgeseg.sinks.web.library import Library
from edgeseg.sinks.web.metrics import CONTENT_TYPE
from edgeseg.sinks.web.show import Show

_PAGE = Path(__file__).with_name("page.html")
_PATIENCE_S = 5.0
"""How long a request waits for a new picture."""
_BOUNDARY = "frame"
_FORBIDDEN = 403
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_COOKIE_S = 30 * 24 * 3600

Handler = Callable[[Any], Awaitable[Any]]


class Site:
    """An ASGI application.

    ``/`` is the page; ``/frame?after=N`` waits for the picture after number N and answers with its facts (4 bytes of length, JSON)
    and the JPEG, or with 204; ``/stream.mjpg`` is for other programs; ``/metrics`` and ``/healthz`` are for monitoring. ``POST
    /score?least=X`` and ``POST /record?on=1`` change what is shown.
    """

    def __init__(self, web: Library, show: Show, access: Access, patience_s: float = _PATIENCE_S) -> None:
        self._web, self._show, self._access, self._patience_s = web, show, access, patience_s
        self._html = _PAGE.read_text(encoding="utf-8")
        self._policy = _policy_of(self._html)
        route = web.routing.Route
        self.application = web.applications.Starlette(
            routes=[
                route("/", self._enter),
                route("/frame", self._guarded(self._frame)),
                route("/stream.mjpg", self._guarded(self._stream)),
                route("/metrics", self._guarded(self._metrics)),
                route("/healthz", self._health),
                route("/score", self._guarded(self._score), methods=["POST"]),
                route("/record", self._guarded(self._record), methods=["POST"]),
            ]
        )

    def _guarded(self, handler: Handler) -> Handler:
        """The handler behind the checks of `Access`, with mistakes as messages."""

        async def answer(request: Any) -> Any:
            if not self._access.allows(request.headers, request.cookies):
                return self._refusal()
            if request.method == "POST" and not self._access.may_change(request.headers):
                return self._text("this request comes from another site", _FORBIDDEN)
            try:
                return await handler(request)
            except EdgesegError as error:
                return self._text(str(error), 400 if isinstance(error, UsageError) else 500)

        return answer

    def _refusal(self) -> Any:
        if self._access.token is None:
            return self._text("open this page under the name localhost or 127.0.0.1", 421)
        return self._text("this page needs its token: open the address that edgeseg printed, with ?token=", 401)

    async def _enter(self, request: Any) -> Any:
        """The page; with the token in its address, a cookie and the address without it."""
        if self._access.is_token(request.query_params.get("token", "")):
            response = self._web.responses.RedirectResponse("/", 303, headers=_HEADERS)
            response.set_cookie(self._access.cookie, self._access.token, max_age=_COOKIE_S, httponly=True, samesite="lax")
            return response
        return await self._guarded(self._page)(request)

    async def _page(self, _request: Any) -> Any:
        return self._web.responses.HTMLResponse(self._html, headers={**_HEADERS, "Content-Security-Policy": self._policy})

    async def _frame(self, request: Any) -> Any:
        number = request.query_params.get("after", "0")
        if not number.isascii() or not number.isdecimal():
            raise UsageError("after is the number of a picture, such as 0")
        try:
            picture = await asyncio.wait_for(self._show.gallery.after(int(number)), self._patience_s)
        except asyncio.TimeoutError:
            return self._web.responses.Response(status_code=204, headers=_HEADERS)
        facts = json.dumps(self._show.facts(picture), separators=(",", ":")).encode()
        body = len(facts).to_bytes(4, "big") + facts + picture.jpeg
        return self._web.responses.Response(body, media_type="application/octet-stream", headers=_HEADERS)

    async def _stream(self, _request: Any) -> Any:
        kind = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        return self._web.responses.StreamingResponse(self._parts(), media_type=kind, headers=_HEADERS)

    async def _parts(self) -> AsyncIterator[bytes]:
        """Pictures as parts of a response. The next is chosen when the last has left: a slow viewer misses some, none is late."""
        number = 0
        while True:
            picture = await self._show.gallery.after(number)
            number = picture.number
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n\r\n"
            yield head.encode() + picture.jpeg + b"\r\n"

    async def _metrics(self, _request: Any) -> Any:
        text = "\n".join(self._show.metric_lines()) + "\n"
        return self._web.responses.Response(text, headers={**_HEADERS, "Content-Type": CONTENT_TYPE})

    async def _health(self, _request: Any) -> Any:
        """Without a token, for it tells nothing of the pictures."""
        illness = self._show.illness()
        return self._text("ok" if illness is None else illness, 200 if illness is None else 503)

    async def _score(self, request: Any) -> Any:
        try:
            least = float(request.query_params.get("least", ""))
        except ValueError:
            least = -1.0
        if not 0 <= least <= 1:
            raise UsageError("least is a score from 0 to 1")
        self._show.gallery.least = least
        return self._text("ok", 200)

    async def _record(self, request: Any) -> Any:
        on = request.query_params.get("on")
        if on not in ("0", "1"):
            raise UsageError("on is 1 to start a recording and 0 to stop it")
        self._show.record(on == "1")
        return self._text("ok", 200)

    def _text(self, text: str, status: int) -> Any:
        return self._web.responses.PlainTextResponse(text + "\n", status, headers=_HEADERS)


def _policy_of(html: str) -> str:
    """A Content-Security-Policy that lets the page's own script run and nothing else, and nobody frame it."""
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = hashlib.sha256(script.group(1).encode() if script else b"").digest()
    return (
        f"default-src 'none'; script-src 'sha256-{base64.b64encode(digest).decode()}'; style-src 'unsafe-inline'; img-src blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
