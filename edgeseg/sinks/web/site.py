"""The addresses of the web server: who may ask for them is checked here, what they say comes from the shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from edgeseg.errors import EdgesegError, UsageError
from edgeseg.sinks.web.access import Access
from edgeseg.sinks.web.answers import Answers, html_of
from edgeseg.sinks.web.library import Library
from edgeseg.sinks.web.metrics import CONTENT_TYPE, Family, metric, text_of
from edgeseg.sinks.web.sensors import powers, temperatures
from edgeseg.sinks.web.show import Show
from edgeseg.sinks.web.view import Handler, View, number_after
from edgeseg.sinks.web.wall import Wall

_PATIENCE_S = 5.0
"""How long a request waits for a new picture."""
_FORBIDDEN = 403
_COOKIE_S = 30 * 24 * 3600


class Site:
    """An ASGI application.

    ``/`` is the page, with the addresses of `View` beside it; ``/metrics`` and ``/healthz`` are for monitoring. With several streams ``/``
    is the overview, ``/wall?after=N`` waits for its round after number N, and the page of each stream is ``/streams/NUMBER/``.
    """

    def __init__(self, web: Library, shows: Sequence[Show], access: Access, patience_s: float = _PATIENCE_S) -> None:
        self._route, self._shows, self._access = web.routing.Route, shows, access
        self._answers, self._wall = Answers(web), Wall(shows)
        self._is_one = len(shows) == 1
        self._pages = {name: html_of(f"{name}.html") for name in ("page", "overview")}
        routes = [
            self._route("/", self._enter),
            self._route("/healthz", self._health),
            self._route("/metrics", self._guarded(self._metrics)),
            *([] if self._is_one else [self._route("/wall", self._guarded(self._tiles))]),
        ]
        for show in shows:
            routes += self._routes("/" if self._is_one else f"/streams/{show.channel.number}/", View(self._answers, show, patience_s))
        self.application = web.applications.Starlette(routes=routes)

    def _routes(self, place: str, view: View) -> Iterator[Any]:
        """The addresses of one stream."""
        if not self._is_one:
            yield self._route(place, self._guarded(self._page))
        for name, handler in view.gets.items():
            yield self._route(place + name, self._guarded(handler))
        for name, handler in view.posts.items():
            yield self._route(place + name, self._guarded(handler), methods=["POST"])

    def _guarded(self, handler: Handler) -> Handler:
        """The handler behind the checks of `Access`, with mistakes as messages."""

        async def answer(request: Any) -> Any:
            if not self._access.allows(request.headers, request.cookies):
                return self._refusal()
            if request.method == "POST" and not self._access.may_change(request.headers):
                return self._answers.text("this request comes from another site", _FORBIDDEN)
            try:
                return await handler(request)
            except EdgesegError as error:
                return self._answers.text(str(error), 400 if isinstance(error, UsageError) else 500)

        return answer

    def _refusal(self) -> Any:
        if self._access.token is None:
            return self._answers.text("open this page under the name localhost or 127.0.0.1", 421)
        return self._answers.text("this page needs its token: open the address that edgeseg printed, with ?token=", 401)

    async def _enter(self, request: Any) -> Any:
        """The first page; with the token in its address, a cookie and the address without it."""
        token = request.query_params.get("token", "")
        if self._access.is_token(token):
            return self._answers.entrance(self._access.cookie, token, _COOKIE_S)
        return await self._guarded(self._page if self._is_one else self._overview)(request)

    async def _page(self, _request: Any) -> Any:
        return self._answers.page(self._pages["page"])

    async def _overview(self, _request: Any) -> Any:
        return self._answers.page(self._pages["overview"])

    async def _tiles(self, request: Any) -> Any:
        return self._answers.pictures(*await self._wall.after(number_after(request)))

    async def _metrics(self, _request: Any) -> Any:
        families = [family for show in self._shows for family in show.families()]
        return self._answers.document(text_of([*families, *_machine()]), CONTENT_TYPE)

    async def _health(self, _request: Any) -> Any:
        """Without a token, for it tells nothing of the pictures."""
        ill = [(show.channel.number, illness) for show in self._shows if (illness := show.illness()) is not None]
        lines = [illness if self._is_one else f"stream {number}: {illness}" for number, illness in ill]
        return self._answers.text("\n".join(lines) or "ok", 503 if ill else 200)


def _machine() -> list[Family]:
    heat, power = temperatures(), powers()
    return [
        metric("temperature_celsius", "gauge", "Thermal zones.", [({"zone": name}, value) for name, value in heat.items()]),
        metric("power_watts", "gauge", "Power sensors.", [({"sensor": name}, value) for name, value in power.items()]),
    ]
