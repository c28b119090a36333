"""A web server on a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Any

from edgeseg.sinks.web.library import Library

CONNECTIONS_MAX = 64
"""Further ones are answered with 503."""
IDLE_S = 10.0
"""A connection that asks for nothing between two looks, so far apart, makes room for others."""


class Server:
    """Serves an ASGI application until `close`."""

    def __init__(self, web: Library, application: Any, listener: socket.socket) -> None:
        config = web.uvicorn.Config(
            application, loop="asyncio", http="h11", ws="none", lifespan="off", log_config=None, log_level="critical",
            access_log=False, proxy_headers=False, server_header=False, limit_concurrency=CONNECTIONS_MAX, timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = web.uvicorn.Server(config)
        self._listener = listener
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runs = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="edgeseg web page", daemon=True)
        self._thread.start()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._runs.set()
        sweeping = asyncio.create_task(self._sweep())
        await self._server.serve(sockets=[self._listener])
        sweeping.cancel()

    async def _sweep(self) -> None:
        """Cut off connections without a request, which Uvicorn keeps for ever. Browsers open some in advance, phones leave silently."""
        idle: dict[Any, Any] = {}
        while True:
            await asyncio.sleep(IDLE_S)
            now = {one: one.cycle for one in self._server.server_state.connections if one.cycle is None or one.cycle.response_complete}
            for connection in [one for one, cycle in now.items() if one in idle and idle[one] is cycle]:
                connection.transport.abort()
            idle = now

    def close(self) -> None:
        """Cut off all viewers and end the thread. Calling it twice is fine."""
        self._runs.wait()
        with contextlib.suppress(RuntimeError):  # the loop has ended
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._end)
        self._thread.join()

    def _end(self) -> None:
        # A viewer that never reads would otherwise keep its connection, and the server with it, for ever.
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        self._server.should_exit = True
