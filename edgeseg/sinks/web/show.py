"""What a page shows of one stream and what its viewers may change: the pipeline's thread puts frames in, the server's thread asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.errors import SinkError, UsageError
from edgeseg.sinks.target import check_folder
from edgeseg.sinks.web.gallery import Gallery, Picture
from edgeseg.sinks.web.metrics import Family, Metrics, metric
from edgeseg.sinks.web.recording import Recording, free_name
from edgeseg.types import Frame, Result

_FPS_MAX = 240.0
SILENT_S = 10.0
"""Without a frame for so long a stream does not count as healthy."""


@dataclass(frozen=True)
class Channel:
    """One stream on a page."""

    number: int | None = None
    """From 0; None where it is the only one."""
    source: str = ""
    """What the overview calls its source; it holds no password."""
    is_lost: Callable[[], bool] = lambda: False
    """Whether its source has lost the connection and tries to make it anew; asked on the server's thread."""


@dataclass(frozen=True)
class Condition:
    """How a stream is."""

    kind: str
    """``waiting`` for the first frame, ``live``, ``silent``, ``lost``, ``failed`` or ``ended``."""
    says: str
    """The same for people."""

    @property
    def is_over(self) -> bool:
        """Whether no frame comes any more."""
        return self.kind in ("failed", "ended")


class Show:
    """The newest frame, the counts, and the recording if there is one.

    Args:
        record_dir: folder for recordings; None forbids them.
        clock: seconds of the monotonic clock.
        channel: which stream it is.

    Raises:
        SinkError: nothing can be written in that folder.
    """

    def __init__(self, record_dir: Path | None = None, clock: Callable[[], float] = time.monotonic, channel: Channel | None = None) -> None:
        if record_dir is not None:
            check_folder(record_dir)
        self.channel = channel or Channel()
        self._stem = "edgeseg" if self.channel.number is None else f"edgeseg-{self.channel.number}"
        self._lock = threading.Lock()
        """Of the end, after which no recording starts."""
        self._end: Condition | None = None
        self.gallery, self.metrics = Gallery(), Metrics()
        self._record_dir, self._clock = record_dir, clock
        self._recordings: list[Recording] = []
        """The newest, and earlier ones that may still be written."""
        self._begun = 0
        self._failure: str | None = None
        """Of an earlier recording, the first."""

    def put(self, frame: Frame, result: Result) -> None:
        """Take a frame; never waits for a viewer or an encoder."""
        self.metrics.add(frame, result, self._clock())
        self.gallery.put(frame, result)
        for recording in self._recordings[-1:]:
            recording.put(frame, result, self.gallery.least)

    def facts(self, picture: Picture) -> dict[str, Any]:
        """What the page shows beside a picture."""
        return {
            **picture.facts,
            "number": picture.number,
            "rate": self.metrics.rate,
            "drops": self.metrics.drops,
            "least": self.gallery.least,
            "recording": self._recording_facts(),
        }

    def record(self, on: bool) -> None:
        """Start or stop a recording; a second start or stop does nothing.

        Raises:
            UsageError: the run was started without a folder for recordings, or the stream is over.
            SinkError: nothing can be written there.
        """
        if self._record_dir is None:
            raise UsageError("recording needs a folder: start edgeseg run with --record-dir DIR")
        if on and not self.is_recording:
            self._start_recording(self._record_dir)
        elif self.is_recording and not on:
            for recording in self._recordings[-1:]:
                recording.finish()

    def _start_recording(self, folder: Path) -> None:
        with self._lock:
            if self._end is not None:
                raise UsageError(f"there is nothing to record: {self._end.says}")
            self._begun += 1
            path = free_name(folder, f"{self._stem}-{time.strftime('%Y%m%d-%H%M%S')}-{self._begun}")
            self._failure = next(iter(self._failures()), None)
            self._recordings = [*(one for one in self._recordings if one.is_alive), Recording(path, self._fps())]

    @property
    def is_recording(self) -> bool:
        """Whether a recording takes frames now."""
        # Asked on the server's thread, while the pipeline's may just be clearing the list.
        return any(recording.is_on for recording in self._recordings[-1:])

    def fail(self, says: str) -> None:
        """No frame comes any more, because something went wrong; perhaps only at the end, when its outputs were finished."""
        self._finish(Condition("failed", f"failed: {says}"))

    def _finish(self, end: Condition) -> None:
        with self._lock:
            if self._end is None or self._end.kind == "ended":
                self._end = end

    def condition(self) -> Condition:
        """How the stream is now, for viewers."""
        if self._end is not None:
            return self._end
        if self.channel.is_lost():
            never = self.gallery.newest is None
            return Condition("lost", "not there yet, tried again and again" if never else "connection lost, connecting anew")
        if (illness := self.illness()) is not None:
            return Condition("waiting" if self.gallery.newest is None else "silent", illness)
        return Condition("live", "live")

    def illness(self) -> str | None:
        """What is wrong with the stream, without what only viewers may know; None while frames come, and once it has ended as it should."""
        if self._end is not None:
            return "failed" if self._end.kind == "failed" else None
        silent_s = self.metrics.silent_s(self._clock())
        if silent_s is None:
            return "no frame yet"
        return f"no frame for {silent_s:.0f} s" if silent_s > SILENT_S else None

    def families(self) -> list[Family]:
        """Everything that is counted, labelled with the stream's number."""
        labels = {"stream": str(self.channel.number or 0)}
        silent_s = self.metrics.silent_s(self._clock())
        since = [] if silent_s is None else [(labels, silent_s)]
        return [
            *self.metrics.families(labels),
            metric("stream_healthy", "gauge", "1 while frames come, and after a good end.", [(labels, int(self.illness() is None))]),
            metric("last_frame_seconds", "gauge", "Since the newest frame.", since),
            metric("viewers", "gauge", "Viewers that wait for a picture.", [(labels, self.gallery.viewers)]),
            metric("pictures_encoded_total", "counter", "Pictures encoded for viewers.", [(labels, self.gallery.encoded)]),
        ]

    def close(self) -> None:
        """The stream has ended: make recordings whole.

        Raises:
            SinkError: one could not be written.
        """
        self._finish(Condition("ended", "the stream has ended"))
        for recording in self._recordings:
            recording.join()
        failures, self._recordings, self._failure = self._failures(), [], None
        if failures:
            raise SinkError(failures[0])

    def _failures(self) -> list[str]:
        return [error for error in (self._failure, *(one.error for one in self._recordings)) if error is not None]

    def _fps(self) -> float | None:
        """The rate at which a recording plays as fast as the run went; with one decimal, for codecs take no odd fractions."""
        rate = self.metrics.rate
        return None if rate is None else round(min(max(rate, 1.0), _FPS_MAX), 1)

    def _recording_facts(self) -> dict[str, Any] | None:
        """None where recordings are not allowed; without a file before the first."""
        if self._record_dir is None:
            return None
        last = next(iter(self._recordings[-1:]), None)
        if last is None:
            return {"on": False}
        return {"on": last.is_on, "file": last.path.name, "frames": last.frames, "missed": last.missed, "error": last.error}
