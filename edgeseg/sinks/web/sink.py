"""The sink behind ``--serve``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgeseg.sinks.base import Sink
from edgeseg.sinks.web.access import access_for
from edgeseg.sinks.web.address import Address, listen
from edgeseg.sinks.web.library import library
from edgeseg.sinks.web.server import Server
from edgeseg.sinks.web.show import Show
from edgeseg.sinks.web.site import Site
from edgeseg.types import Frame, Result


class WebSink(Sink):
    """A web page with the newest annotated frame (docs/web.md). Viewers cost the pipeline nothing but the CPU they take.

    Args:
        address: where to listen.
        token_file: file with the token that viewers need; without it one is made where other machines can reach the address.
        record_dir: folder for recordings; None forbids them.

    Raises:
        MissingDependencyError: the packages of the extra ``web`` are absent.
        SinkError: it cannot listen there, or nothing can be written in the folder.
        UsageError: the file holds no fit token.
    """

    def __init__(self, address: Address, token_file: Path | None = None, record_dir: Path | None = None) -> None:
        web, self._show = library(), Show(record_dir)
        access = access_for(address, token_file)
        listener = listen(address)
        port: int = listener.getsockname()[1]
        self.url = address.url(port)
        """What to open; with the token, unless it came from a file."""
        if access.token is not None and token_file is None:
            self.url += f"?token={access.token}"
        site = Site(web, self._show, replace(access, cookie=f"edgeseg_{port}"))
        self._server = Server(web, site.application, listener)

    def write(self, frame: Frame, result: Result) -> None:
        self._show.put(frame, result)

    def close(self) -> None:
        self._server.close()
        self._show.close()
