"""Responses as all addresses of the server give them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeseg.sinks.web.library import Library

HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Answers:
    """Makes them, with the headers that belong to every answer."""

    def __init__(self, web: Library) -> None:
        self._responses = web.responses

    def text(self, text: str, status: int = 200) -> Any:
        """A line for people."""
        return self._responses.PlainTextResponse(text + "\n", status, headers=HEADERS)

    def document(self, text: str, kind: str) -> Any:
        """A text of a content type."""
        return self._responses.Response(text, headers={**HEADERS, "Content-Type": kind})

    def nothing(self) -> Any:
        """There is nothing new."""
        return self._responses.Response(status_code=204, headers=HEADERS)

    def pictures(self, facts: Mapping[str, Any], jpegs: Sequence[bytes]) -> Any:
        """Facts and pictures in one: 4 bytes, big endian, with the length of the JSON, the JSON, the pictures one after the other."""
        text = json.dumps(facts, separators=(",", ":")).encode()
        return self._responses.Response(
            b"".join([len(text).to_bytes(4, "big"), text, *jpegs]), media_type="application/octet-stream", headers=HEADERS
        )

    def stream(self, parts: AsyncIterator[bytes], kind: str) -> Any:
        """Parts as they come."""
        return self._responses.StreamingResponse(parts, media_type=kind, headers=HEADERS)

    def page(self, html: str) -> Any:
        """A page that runs its own script and nothing else."""
        return self._responses.HTMLResponse(html, headers={**HEADERS, "Content-Security-Policy": _policy_of(html)})

    def entrance(self, cookie: str, token: str, seconds: int) -> Any:
        """To the page without the token in its address, which is now in a cookie."""
        response = self._responses.RedirectResponse("/", 303, headers=HEADERS)
        response.set_cookie(cookie, token, max_age=seconds, httponly=True, samesite="lax")
        return response


def html_of(name: str) -> str:
    """A page of this folder, with the style that all pages share in its place."""
    folder = Path(__file__).parent
    return (folder / name).read_text(encoding="utf-8").replace("/* base.css */\n", (folder / "base.css").read_text(encoding="utf-8"))


def _policy_of(html: str) -> str:
    """A Content-Security-Policy that lets the page's own script run and nothing else, and nobody frame it."""
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = hashlib.sha256(script.group(1).encode() if script else b"").digest()
    return (
        f"default-src 'none'; script-src 'sha256-{base64.b64encode(digest).decode()}'; style-src 'unsafe-inline'; img-src blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
