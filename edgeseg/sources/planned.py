"""Names that look like network, Jetson or GStreamer streams: refused with what works instead."""

from __future__ import annotations

import re
from typing import NoReturn

from edgeseg.errors import UsageError

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def matches(text: str) -> bool:
    """``scheme://...`` or a GStreamer pipeline (elements joined by an exclamation mark)."""
    return bool(_SCHEME.match(text)) or " ! " in text


def refuse(text: str) -> NoReturn:
    """Say what can be read instead.

    Raises:
        UsageError: always.
    """
    kind = text.split("://", 1)[0] + "://" if _SCHEME.match(text) else "a GStreamer pipeline"
    raise UsageError(
        f"{kind} is not supported yet ({text!r}). Give a video file, a picture, a folder of pictures, a camera index such as 0, "
        "/dev/video0 or 'synthetic:'."
    )
