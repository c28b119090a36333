"""Who may see the page and who may change something."""

from __future__ import annotations

import pytest

from edgeseg.errors import UsageError
from edgeseg.sinks.web.access import Access, access_for
from edgeseg.sinks.web.address import Address

TOKEN = "0123456789abcdef"  # noqa: S105 - of these tests


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", True),
        ("localhost:8080", True),
        ("LOCALHOST:1", True),
        ("127.0.0.1:9000", True),
        ("[::1]:8080", True),
        ("127.0.0.2:8080", True),
        ("10.0.0.1:8080", False),
        ("", False),
        ("evil.example", False),
        ("evil.example:8080", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example:8080", False),
        ("evil.example@localhost", False),
    ],
)
def test_without_a_token_the_name_must_be_this_machines(host, allowed):
    """A foreign name that was pointed at loopback is refused (DNS rebinding)."""
    assert Access(None).allows({"host": host}, {}) is allowed


@pytest.mark.parametrize(
    ("headers", "cookies", "allowed"),
    [
        ({}, {"edgeseg": TOKEN}, True),
        ({"authorization": f"Bearer {TOKEN}"}, {}, True),
        ({"host": "localhost"}, {}, False),
        ({}, {"edgeseg": ""}, False),
        ({}, {"edgeseg": TOKEN[:-1]}, False),
        ({}, {"edgeseg": TOKEN + "0"}, False),
        ({}, {"other": TOKEN}, False),
        ({"authorization": f"Basic {TOKEN}"}, {}, False),
        ({}, {"edgeseg": "\u00e9" * 16}, False),
    ],
)
def test_with_a_token_only_the_token_counts(headers, cookies, allowed):
    """As a cookie or as a bearer, whole and right; being on the same machine is no substitute."""
    assert Access(TOKEN).allows(headers, cookies) is allowed


def test_no_text_is_the_token_where_there_is_none():
    """An empty token in the address opens nothing."""
    assert not Access(None).is_token("")
    assert not Access(None).is_token("None")


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"host": "localhost:8080"}, True),
        ({"host": "localhost:8080", "origin": "http://localhost:8080"}, True),
        ({"host": "camera.example", "origin": "https://camera.example"}, True),
        ({"host": "localhost:8080", "sec-fetch-site": "same-origin"}, True),
        ({"host": "localhost:8080", "sec-fetch-site": "cross-site"}, False),
        ({"host": "localhost:8080", "origin": "http://localhost:3000"}, False),
        ({"host": "localhost:8080", "origin": "http://evil.example"}, False),
        ({"host": "localhost:8080", "origin": "null"}, False),
        ({"host": "", "origin": "null"}, False),
    ],
)
def test_changes_come_from_the_page_itself_or_from_no_browser(headers, allowed):
    """A page of another origin, port included, may change nothing."""
    assert Access(None).may_change(headers) is allowed


def test_token_is_made_only_where_other_machines_reach(tmp_path):
    """Loopback has none, all interfaces get a new one each time, a file's is taken everywhere."""
    everywhere, path = Address("::", 80), tmp_path / "token"
    path.write_text(f"{TOKEN}\n")

    made = access_for(everywhere, None).token

    assert access_for(Address("127.0.0.1", 80), None).token is None
    assert made is not None
    assert len(made) == 32
    assert access_for(everywhere, None).token != made
    assert access_for(Address("127.0.0.1", 80), path).token == access_for(everywhere, path).token == TOKEN


@pytest.mark.parametrize("content", [b"", b"short", b"0123456789 abcdef", b"0123456789abcdef;", b"0123456789abcde\xff", b"a" * 257])
def test_unfit_token_file_is_refused(tmp_path, content):
    """Too short, too long, or not fit for a cookie: the message names the file and a command that makes one or the reason."""
    path = tmp_path / "token"
    path.write_bytes(content)

    with pytest.raises(UsageError, match=f"--token-file {path} "):
        access_for(Address("127.0.0.1", 80), path)


def test_missing_token_file_is_refused(tmp_path):
    """The message names the file."""
    with pytest.raises(UsageError, match="No such file"):
        access_for(Address("127.0.0.1", 80), tmp_path / "none")
