"""A page that is served on a free port of loopback, and a way to ask it."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgeseg.sinks.web import Address, WebSink


@dataclass(frozen=True)
class Answer:
    """What the server said. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[WebSink]:
    """A page without a token that may record into the test's folder."""
    with WebSink(Address("127.0.0.1", 0), record_dir=tmp_path) as sink:
        yield sink


@pytest.fixture(scope="module")
def strict() -> Iterator[WebSink]:
    """A page for requests that it refuses: it never gets a frame."""
    with WebSink(Address("127.0.0.1", 0)) as sink:
        yield sink


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebSink]:
    """A page with the token ``0123456789abcdef``, which never gets a frame."""
    token = tmp_path_factory.mktemp("locked") / "token"
    token.write_text("0123456789abcdef\n")
    with WebSink(Address("127.0.0.1", 0), token_file=token) as sink:
        yield sink


@pytest.fixture
def ask() -> Callable[..., Answer]:
    """One request of its own connection: ``ask(page, "GET /frame", header=value)``; _ in names of headers stands for -."""

    def request(sink: WebSink, line: str, **headers: str) -> Answer:
        method, path = line.split()
        connection = http.client.HTTPConnection("127.0.0.1", int(sink.url.split(":")[2].partition("/")[0]), timeout=30)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    return request
