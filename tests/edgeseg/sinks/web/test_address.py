"""Addresses of the page: what is read from text, who can reach them, and sockets on them."""

from __future__ import annotations

import socket

import pytest

from edgeseg.errors import SinkError, UsageError
from edgeseg.sinks.web.address import Address, listen


@pytest.mark.parametrize(
    ("text", "host", "port", "is_loopback"),
    [
        ("8080", "127.0.0.1", 8080, True),
        ("127.0.0.1:0", "127.0.0.1", 0, True),
        ("127.1.2.3:80", "127.1.2.3", 80, True),
        ("localhost:65535", "localhost", 65535, True),
        ("[::1]:8080", "::1", 8080, True),
        ("0.0.0.0:8080", "0.0.0.0", 8080, False),  # noqa: S104 - nothing listens
        ("[::]:8080", "::", 8080, False),
        ("192.168.1.5:8080", "192.168.1.5", 8080, False),
        ("localhost.example:8080", "localhost.example", 8080, False),
    ],
)
def test_address_is_read(text, host, port, is_loopback):
    """A port alone is on loopback; only loopback addresses count as such."""
    address = Address.parse(text)

    assert (address, address.is_loopback) == (Address(host, port), is_loopback)


@pytest.mark.parametrize(
    "text", ["", ":", ":8080", "host", "host:", "host:99999", "host:-1", "::1:80", "[::1]", "http://host:80", "a b:1", "host:\uff11"]
)
def test_other_text_is_refused(text):
    """The message shows the two forms."""
    with pytest.raises(UsageError, match=r"give PORT or HOST:PORT, such as 127\.0\.0\.1:8080"):
        Address.parse(text)


def test_url_is_what_a_browser_takes():
    """IPv6 is in brackets, and an address that stands for all is replaced by the machine's name."""
    assert Address("127.0.0.1", 0).url(81) == "http://127.0.0.1:81/"
    assert Address("::1", 0).url(81) == "http://[::1]:81/"
    assert Address("::", 0).url(81) == f"http://{socket.gethostname()}:81/"


def test_taken_port_is_an_error_that_names_it():
    """A second socket on the same port says which port and what to do."""
    with listen(Address("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SinkError, match=rf"127\.0\.0\.1:{port}: .*[Cc]hoose another port"):
            listen(Address("127.0.0.1", port))


def test_foreign_address_is_an_error():
    """An address of a documentation network is none of this machine's."""
    with pytest.raises(SinkError, match=r"192\.0\.2\.1:0"):
        listen(Address("192.0.2.1", 0))
