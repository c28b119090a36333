"""Tells the service manager that started the command how it is (systemd's sd_notify(3)); elsewhere nobody listens."""

from __future__ import annotations

import contextlib
import os
import socket


def notify(state: str) -> None:
    """Send ``NAME=value`` lines, such as ``READY=1``, to the socket that the service manager named, if it did."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # A manager that does not listen, or is slow to, must not end the run or hold it up.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as there:
        there.setblocking(False)
        there.connect("\0" + address[1:] if address.startswith("@") else address)
        there.sendall(state.encode(errors="backslashreplace"))
