"""Where the page is served: ``PORT`` or ``HOST:PORT``."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass

from edgeseg.errors import SinkError, UsageError

_FORM = re.compile(r"((\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:/\[\]]+)):)?(?P<port>[0-9]{1,5})")
_LOST_MS = 20_000
"""A viewer that takes nothing for so long is cut off by the kernel."""
_SEND_BYTES = 1 << 18
"""What waits in the kernel for one viewer at most; it bounds how old a picture gets on the way to a slow one."""
_PORT_MAX = 65535


@dataclass(frozen=True)
class Address:
    """Host and port to listen on."""

    host: str
    port: int
    """0 lets the system choose."""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``PORT`` (on 127.0.0.1), ``HOST:PORT`` or ``[IPV6]:PORT``.

        Raises:
            UsageError: it is none of these.
        """
        match = _FORM.fullmatch(text)
        if match is None or int(match["port"]) > _PORT_MAX:
            raise UsageError(f"--serve {text}: give PORT or HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080.")
        return cls(match["v6"] or match["host"] or "127.0.0.1", int(match["port"]))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def url(self, port: int) -> str:
        """What to open in a browser; of an address that stands for all, the machine's name."""
        host = self.host if self.host not in ("0.0.0.0", "::") else socket.gethostname()  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def listen(address: Address) -> socket.socket:
    """A socket that listens there.

    Raises:
        SinkError: the port is taken or not allowed, or the host is none of this machine's.
    """
    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((address.host, address.port), family=family)
    except OSError as error:
        raise SinkError(
            f"the web page cannot be served on {address.host}:{address.port}: {error.strerror or error}. Choose another port or address."
        ) from error
    # Connections inherit both from the socket that accepts them.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _LOST_MS)
    return listener
