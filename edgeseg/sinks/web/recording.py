"""An annotated video that a viewer starts and stops, written on a thread of its own."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

from edgeseg.errors import EdgesegError, SinkError
from edgeseg.sinks.video import VideoSink
from edgeseg.sinks.web.picture import limited
from edgeseg.types import Frame, Result

_WAITING_MAX = 16
"""Frames that wait to be written; more would fill the memory where the encoder is slower than the run."""


class Recording:
    """One video from its start to `finish`. `put` never waits: frames that find no place are missing, and counted."""

    def __init__(self, path: Path, fps: float | None) -> None:
        self.path = path
        self.frames = self.missed = 0
        self.error: str | None = None
        """Why it ended by itself."""
        self._video = VideoSink(path, fps)
        # Unlike a condition, it stays usable when a signal interrupts `put`.
        self._waiting: SimpleQueue[tuple[Frame, Result, float] | None] = SimpleQueue()
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="edgeseg recording", daemon=True)
        self._thread.start()

    @property
    def is_on(self) -> bool:
        """Whether it takes frames."""
        return not self._ended

    @property
    def is_alive(self) -> bool:
        """Whether something of it is still to be written."""
        return self._thread.is_alive()

    def put(self, frame: Frame, result: Result, least: float) -> None:
        """Take a frame without what scores less than ``least``."""
        if self._ended:
            return
        if self._waiting.qsize() >= _WAITING_MAX:
            self.missed += 1
            return
        self._waiting.put((frame, result, least))

    def finish(self) -> None:
        """Take no more frames; those taken are still written. Does not wait."""
        self._ended = True
        self._waiting.put(None)

    def join(self) -> None:
        """Wait until the file is whole."""
        self.finish()
        self._thread.join()

    def _work(self) -> None:
        try:
            with self._video:
                self._write_all()
        except EdgesegError as error:
            self.error = str(error)
        finally:
            self.finish()

    def _write_all(self) -> None:
        first: Frame | None = None
        while (entry := self._waiting.get()) is not None:
            frame, result, least = entry
            first = first or frame
            if frame.image_hw != first.image_hw:
                raise SinkError("the size of the picture changed. Start another recording.")
            # Numbered anew: the video has the rate of the run, in which frames that the source skipped took no time.
            self._video.write(replace(frame, index=self.frames), limited(result, least))
            self.frames += 1


def free_name(folder: Path, stem: str) -> Path:
    """The first of ``STEM.mp4``, ``STEM-2.mp4`` and so on in a folder that does not exist."""
    number, path = 1, folder / f"{stem}.mp4"
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.mp4"
    return path
