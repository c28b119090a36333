"""The web server and the connections that it keeps."""

from __future__ import annotations

import contextlib
import socket

import pytest

from edgeseg.sinks.web import Address, WebSink, server


@pytest.fixture
def port(monkeypatch, make_frame, make_result):
    """A page that holds a frame and soon looks for idle connections."""
    monkeypatch.setattr(server, "IDLE_S", 0.05)
    with WebSink(Address("127.0.0.1", 0)) as page:
        page.write(make_frame(), make_result())
        yield int(page.url.split(":")[2].strip("/"))


def dialled(port, request=b""):
    """A connection on which so much was said."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(request)
    return connection


def all_of(connection) -> bytes:
    """What comes until the other side hangs up."""
    told = b""
    with connection:
        while piece := received(connection):
            told += piece
    return told


def received(connection) -> bytes:
    try:
        return connection.recv(1 << 16)
    except ConnectionResetError:
        return b""


def is_open(connection) -> bool:
    """Whether there may come more than has come so far."""
    connection.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while received(connection):
            pass
        return False
    return True


@pytest.mark.parametrize(
    "request_begun", [b"", b"GET /healthz HTTP/1.1\r\nHost: a", b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\n"]
)
def test_connections_that_ask_for_nothing_make_room(port, request_begun):
    """Nobody shuts others out by filling all places, with or without the beginning of a request or after a whole one."""
    silent = [dialled(port, request_begun) for _ in range(server.CONNECTIONS_MAX)]
    for connection in silent:
        all_of(connection)

    assert all_of(dialled(port, b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_viewer_who_waits_for_pictures_is_no_idle_one(port):
    """A stream without new frames stays open while silent connections are cut off; so does a page that asks again."""
    stream = dialled(port, b"GET /stream.mjpg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert stream.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")
    all_of(dialled(port))
    all_of(dialled(port))

    with stream:
        assert is_open(stream)
