"""What the page shows and what its viewers may change: the pipeline's thread puts frames in, the server's thread asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edgeseg.errors import SinkError, UsageError
from edgeseg.sinks.target import check_folder
from edgeseg.sinks.web.gallery import Gallery, Picture
from edgeseg.sinks.web.metrics import Metrics, metric
from edgeseg.sinks.web.recording import Recording, free_name
from edgeseg.sinks.web.sensors import powers, temperatures
from edgeseg.types import Frame, Result

_FPS_MAX = 240.0
SILENT_S = 10.0
"""Without a frame for so long a run does not count as healthy."""


class Show:
    """The newest frame, the counts, and the recording if there is one.

    Args:
        record_dir: folder for recordings; None forbids them.
        clock: seconds of the monotonic clock.

    Raises:
        SinkError: nothing can be written in that folder.
    """

    def __init__(self, record_dir: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        if record_dir is not None:
            check_folder(record_dir)
        self.gallery, self.metrics = Gallery(), Metrics()
        self._record_dir, self._clock = record_dir, clock
        self._recordings: list[Recording] = []
        """The newest, and earlier ones that may still be written."""
        self._begun = 0

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
            UsageError: the run was started without a folder for recordings.
            SinkError: nothing can be written there.
        """
        if self._record_dir is None:
            raise UsageError("recording needs a folder: start edgeseg run with --record-dir DIR")
        is_on = bool(self._recordings) and self._recordings[-1].is_on
        if on and not is_on:
            self._begun += 1
            path = free_name(self._record_dir, f"edgeseg-{time.strftime('%Y%m%d-%H%M%S')}-{self._begun}")
            self._recordings = [*(one for one in self._recordings if one.is_alive), Recording(path, self._fps())]
        elif is_on and not on:
            self._recordings[-1].finish()

    def illness(self) -> str | None:
        """What is wrong with the run; None while frames come."""
        silent_s = self.metrics.silent_s(self._clock())
        if silent_s is None:
            return "no frame yet"
        return f"no frame for {silent_s:.0f} s" if silent_s > SILENT_S else None

    def metric_lines(self) -> Iterator[str]:
        """Everything that is counted, in Prometheus' text format."""
        yield from self.metrics.lines()
        silent_s = self.metrics.silent_s(self._clock())
        if silent_s is not None:
            yield from metric("last_frame_seconds", "gauge", "Since the newest frame.", [({}, silent_s)])
        yield from metric("viewers", "gauge", "Viewers that wait for a picture.", [({}, self.gallery.viewers)])
        yield from metric("pictures_encoded_total", "counter", "Pictures encoded for viewers.", [({}, self.gallery.encoded)])
        heat, power = temperatures(), powers()
        yield from metric("temperature_celsius", "gauge", "Thermal zones.", [({"zone": name}, value) for name, value in heat.items()])
        yield from metric("power_watts", "gauge", "Power sensors.", [({"sensor": name}, value) for name, value in power.items()])

    def close(self) -> None:
        """Make recordings whole.

        Raises:
            SinkError: one could not be written.
        """
        for recording in self._recordings:
            recording.join()
        failed = [one.error for one in self._recordings if one.error is not None]
        self._recordings = []
        if failed:
            raise SinkError(failed[0])

    def _fps(self) -> float | None:
        """The rate at which a recording plays as fast as the run went; with one decimal, for codecs take no odd fractions."""
        rate = self.metrics.rate
        return None if rate is None else round(min(max(rate, 1.0), _FPS_MAX), 1)

    def _recording_facts(self) -> dict[str, Any] | None:
        """None where recordings are not allowed; without a file before the first."""
        if self._record_dir is None:
            return None
        if not self._recordings:
            return {"on": False}
        last = self._recordings[-1]
        return {"on": last.is_on, "file": last.path.name, "frames": last.frames, "missed": last.missed, "error": last.error}
