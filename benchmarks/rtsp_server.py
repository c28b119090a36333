"""An RTSP server for the checks: a generated clip whose pictures carry the time they were made, and every trouble on request.

It needs GStreamer's RTSP server and its bindings, which Debian's own Python has, so it imports neither edgeseg nor NumPy:

    apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly
    /usr/bin/python3 benchmarks/rtsp_server.py --port 8554

The stream is rtsp://127.0.0.1:PORT/clip. One command a line on the standard input: ``stall`` (no more pictures, the connection
stays), ``freeze`` (the same picture again and again), ``go`` (back to normal), ``size 320x240``, ``garble 0.1`` (that part of the packets
is damaged), ``quit``.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - versions are named first

STAMP_BITS = 32
"""Blocks in the top row of a picture: white for 1, black for 0, the highest bit first; microseconds of the monotonic clock."""
BLOCK = 8
"""Side of a block in pixels."""
_LAUNCH = (
    "( appsrc name=pictures is-live=true format=time do-timestamp=true ! x264enc tune=zerolatency speed-preset=ultrafast "
    "key-int-max={fps} bitrate=1500 threads=1 ! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96 )"
)


class Clip:
    """Pictures of a grey slope that wanders, made one at a time."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.frozen: bytes | None = None
        row = bytes(40 + abs(x % 256 - 128) for x in range(2 * width + 512))
        self._rows = [row[shift : shift + width] for shift in range(256)]
        self._colour = bytes([128]) * (width * height // 2)
        self._count = 0

    def picture(self) -> bytes:
        """The next picture as I420, stamped with the present time."""
        if self.frozen is not None:
            return self.frozen
        width, height = self.size
        self._count += 1
        below = b"".join(self._rows[(self._count * 2 + y) % 256] for y in range(height - BLOCK))
        stamp = int(time.monotonic() * 1e6) % (1 << STAMP_BITS)
        bits = [(stamp >> (STAMP_BITS - 1 - i)) & 1 for i in range(STAMP_BITS)]
        top = b"".join((b"\xeb" if bit else b"\x10") * BLOCK for bit in bits).ljust(width, b"\x10")
        return top * BLOCK + below + self._colour


class Server:
    """One stream, shared by all that watch."""

    def __init__(self, port: int, fps: int, size: tuple[int, int]) -> None:
        self._fps = fps
        self._clip = Clip(*size)
        self._source: Any = None
        self._stalled = False
        self._garbled = 0.0
        self._server = GstRtspServer.RTSPServer.new()
        self._server.set_address("127.0.0.1")
        self._server.set_service(str(port))
        factory = GstRtspServer.RTSPMediaFactory.new()
        factory.set_launch(_LAUNCH.format(fps=fps))
        factory.set_shared(True)
        factory.connect("media-configure", self._configure)
        self._server.get_mount_points().add_factory("/clip", factory)
        self._server.attach(None)
        GLib.timeout_add(round(1000 / fps), self._push)

    def obey(self, line: str) -> None:
        """Do what a command says."""
        word, _, value = line.strip().partition(" ")
        if word == "stall":
            self._stalled = True
        elif word == "freeze":
            self._clip.frozen = self._clip.picture()
        elif word == "go":
            self._stalled, self._clip.frozen, self._garbled = False, None, 0.0
        elif word == "size":
            width, height = (int(side) for side in value.split("x"))
            self._clip = Clip(width, height)
            self._announce()
        elif word == "garble":
            self._garbled = float(value)
        elif word == "quit":
            sys.exit(0)

    def _configure(self, _factory: Any, media: Any) -> None:
        element = media.get_element()
        payloader = element.get_by_name_recurse_up("pay0")
        payloader.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, self._garble)
        self._source = element.get_by_name_recurse_up("pictures")
        self._announce()
        media.connect("unprepared", self._forget)

    def _announce(self) -> None:
        if self._source is not None:
            width, height = self._clip.size
            text = f"video/x-raw,format=I420,width={width},height={height},framerate={self._fps}/1"
            self._source.set_property("caps", Gst.Caps.from_string(text))

    def _forget(self, _media: Any) -> None:
        self._source = None

    def _push(self) -> bool:
        if self._source is not None and not self._stalled:
            self._source.emit("push-buffer", Gst.Buffer.new_wrapped(self._clip.picture()))
        return True

    def _garble(self, _pad: Any, _info: Any) -> Any:
        """Lose a part of the coded pictures, so that later ones rest on what the receiver never saw."""
        lost = self._garbled and random.random() < self._garbled  # noqa: S311 - no secret
        return Gst.PadProbeReturn.DROP if lost else Gst.PadProbeReturn.OK


def _listen(server: Server) -> None:
    for line in sys.stdin:
        GLib.idle_add(lambda line=line: server.obey(line))
    GLib.idle_add(sys.exit)


def main() -> None:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8554)
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--size", default="640x360")
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    Gst.init(None)
    server = Server(args.port, args.fps, (width, height))
    threading.Thread(target=_listen, args=(server,), daemon=True).start()
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
