"""A device that does what a script says, on a clock that moves only when told to: for tests, and to try what a failing camera does."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from edgeseg.errors import SourceError
from edgeseg.types import U8Array


class FakeClock:
    """Seconds that pass when something waits."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> bool:
        """Let time pass; never interrupted."""
        self.now_s += seconds
        return False


@dataclass(frozen=True, repr=False)
class Shot:
    """A picture uint8 (H, W, 3) comes, some seconds after it was asked for; None is a damaged one."""

    pixels: U8Array | None
    after_s: float = 1 / 30


@dataclass(frozen=True)
class Lost:
    """The connection breaks, some seconds after a picture was asked for."""

    after_s: float = 0.0


@dataclass(frozen=True)
class Refused:
    """An attempt to connect fails, after some seconds."""

    after_s: float = 0.0


class FakeCapture:
    """See the module. When the script has ended, nothing can be opened or read.

    Args:
        script: what happens, in order. A refusal counts only for attempts to connect, which need nothing else to succeed.
        clock: moved on by what takes time.
    """

    name = "made-up camera"

    def __init__(self, script: Iterable[Shot | Lost | Refused], clock: FakeClock, fps: float | None = 30.0) -> None:
        self._script = deque(script)
        self._clock, self._fps = clock, fps
        self._pixels: U8Array | None = None
        self.is_open = False
        self.openings = 0

    def open(self) -> float | None:
        self.openings += 1
        following = self._script[0] if self._script else Refused()
        if isinstance(following, Refused):
            if self._script:
                self._script.popleft()
            self._clock.wait(following.after_s)
            raise SourceError(f"{self.name} cannot be opened.")
        self.is_open = True
        return self._fps

    def grab(self) -> bool:
        if not self._script or isinstance(self._script[0], Refused):
            return False
        event = self._script.popleft()
        self._clock.wait(event.after_s)
        if isinstance(event, Shot):
            self._pixels = event.pixels
        return isinstance(event, Shot)

    def read(self) -> U8Array | None:
        return self._pixels

    def close(self) -> None:
        self.is_open = False
