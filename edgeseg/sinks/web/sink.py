"""The sinks behind ``--serve``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from edgeseg.sinks.base import Sink
from edgeseg.sinks.web.access import access_for
from edgeseg.sinks.web.address import Address, listen
from edgeseg.sinks.web.library import library
from edgeseg.sinks.web.server import Server
from edgeseg.sinks.web.show import Channel, Show
from edgeseg.sinks.web.site import Site
from edgeseg.types import Frame, Result


class WebSink(Sink):
    """A web page with the newest annotated frame (docs/web.md). Viewers cost the pipeline nothing but the CPU they take.

    Args:
        address: where to listen.
        token_file: file with the token that viewers need; without it one is made where other machines can reach the address.
        record_dir: folder for recordings; None forbids them.
        is_lost: whether the source is being connected anew right now; asked on the server's thread.

    Raises:
        MissingDependencyError: the packages of the extra ``web`` are absent.
        SinkError: it cannot listen there, or nothing can be written in the folder.
        UsageError: the file holds no fit token.
    """

    def __init__(
        self,
        address: Address,
        token_file: Path | None = None,
        record_dir: Path | None = None,
        is_lost: Callable[[], bool] = lambda: False,
    ) -> None:
        self._show = Show(record_dir, channel=Channel(is_lost=is_lost))
        self.url, self._server = _serve(address, token_file, (self._show,))
        """What to open; with the token, unless it came from a file."""

    def write(self, frame: Frame, result: Result) -> None:
        self._show.put(frame, result)

    def close(self) -> None:
        self._server.close()
        self._show.close()


class StreamSink(Sink):
    """One stream of a `WebPage`. Closing it says that the stream has ended, and makes its recordings whole."""

    def __init__(self, show: Show) -> None:
        self._show = show

    def write(self, frame: Frame, result: Result) -> None:
        self._show.put(frame, result)

    def fail(self, says: str) -> None:
        """Tell viewers that no frame comes any more, and why."""
        self._show.fail(says)

    def close(self) -> None:
        self._show.close()


class WebPage:
    """A web page with several streams: an overview, and the page of `WebSink` for each. A context manager.

    Args:
        address, token_file, record_dir: as for `WebSink`.
        channels: the streams, two or more, with different numbers.

    Raises:
        EdgesegError: as for `WebSink`.
    """

    def __init__(
        self, address: Address, token_file: Path | None = None, record_dir: Path | None = None, *, channels: Sequence[Channel]
    ) -> None:
        shows = [Show(record_dir, channel=channel) for channel in channels]
        self.sinks = tuple(map(StreamSink, shows))
        """One for each channel, in their order."""
        self.url, self._server = _serve(address, token_file, shows)

    def __enter__(self) -> WebPage:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Cut off all viewers; calling it twice is fine.

        Raises:
            SinkError: a recording could not be written.
        """
        with ExitStack() as stack:
            for sink in self.sinks:
                stack.enter_context(sink)
            self._server.close()


def _serve(address: Address, token_file: Path | None, shows: Sequence[Show]) -> tuple[str, Server]:
    """What to open, and the server."""
    web, access = library(), access_for(address, token_file)
    listener = listen(address)
    port: int = listener.getsockname()[1]
    url = address.url(port)
    if access.token is not None and token_file is None:
        url += f"?token={access.token}"
    site = Site(web, shows, replace(access, cookie=f"edgeseg_{port}"))
    return url, Server(web, site.application, listener)
