"""Who may see the page and who may change what it shows."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeseg.errors import UsageError
from edgeseg.sinks.web.address import Address

_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,256}")
_TOKEN_BYTES = 24


@dataclass(frozen=True)
class Access:
    """The rules of one server.

    On loopback without a token, whoever is on this machine may; the name under which a browser asks must be one of this machine, so
    that no foreign site can point its own name here. Everywhere else a token is asked for: once in the address, then as a cookie.
    """

    token: str | None
    cookie: str = "edgeseg"
    """Cookies are shared between the ports of a host: its name must differ from that of another page there."""

    def allows(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> bool:
        """Whether this request may see anything. Header names are in lower case."""
        if self.token is None:
            # What a browser here, or at the other end of an SSH tunnel, calls a server that listens on loopback.
            return Address(_host_of(headers.get("host", "")), 0).is_loopback
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        return self.is_token(cookies.get(self.cookie, "")) or self.is_token(bearer)

    def is_token(self, text: str) -> bool:
        """Whether it is the token; how long the answer takes says nothing of how much of it is right."""
        return self.token is not None and hmac.compare_digest(text.encode(), self.token.encode())

    def may_change(self, headers: Mapping[str, str]) -> bool:
        """Whether a request that may see also comes from the page itself, or from no browser at all."""
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "same-origin") == "same-origin"
        host = headers.get("host", "")
        return host != "" and origin.partition("://")[2] == host


def access_for(address: Address, token_file: Path | None) -> Access:
    """The rules of a server: with the token of a file, with a new one where other machines can reach it, else without.

    Raises:
        UsageError: the file cannot be read or holds no fit token.
    """
    if token_file is not None:
        return Access(_read_token(token_file))
    return Access(None if address.is_loopback else secrets.token_urlsafe(_TOKEN_BYTES))


def _read_token(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--token-file {path} cannot be read as text: {error}. Give a file that holds the token.") from error
    if not _TOKEN.fullmatch(token):
        raise UsageError(
            f"--token-file {path} must hold one token of 16 to 256 letters, digits, - and _. This makes one: openssl rand -hex 24"
        )
    return token


def _host_of(text: str) -> str:
    """The name in a Host header, without port and brackets."""
    name = re.sub(r":\d*$", "", text).lower()
    return name[1:-1] if name.startswith("[") and name.endswith("]") else name
