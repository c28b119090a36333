"""Tensors that stay on the device between runs."""

from __future__ import annotations

import threading
import weakref

from edgeseg.device import Buffer, Device, Event


class Handle:
    """A tensor on the device. Its memory goes back to the pool when nothing refers to it any more."""

    def __init__(self, buffer: Buffer, ready: Event) -> None:
        self.buffer = buffer
        self.ready = ready
        """Passed by the device when the tensor is complete."""


class Pool:
    """Memory for handles. What comes back serves again, so that a stream of frames allocates nothing.

    A handle may outlive its pool. One pool serves one stream: whatever it wrote into memory that comes back is ordered
    before what it writes next.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._idle: dict[int, list[tuple[Buffer, Event]]] = {}
        # A handle may die inside of `take`, when Python collects garbage there.
        self._lock = threading.RLock()
        self._closed = False

    def take(self, nbytes: int) -> Handle:
        """A handle whose memory nobody else refers to; the device must be active.

        Raises:
            BackendError: the GPU has no memory left.
        """
        with self._lock:
            idle = self._idle.get(nbytes)
            buffer, ready = idle.pop() if idle else self._new(nbytes)
        handle = Handle(buffer, ready)
        # At the end of the process the driver frees everything by itself.
        weakref.finalize(handle, self._back, buffer, ready).atexit = False
        return handle

    def close(self) -> None:
        """Free what is idle now, and every handle when it dies. Calling it twice is fine."""
        with self._lock:
            self._closed = True
            idle = [pair for pairs in self._idle.values() for pair in pairs]
            self._idle.clear()
        for buffer, ready in idle:
            buffer.close()
            ready.close()

    def _new(self, nbytes: int) -> tuple[Buffer, Event]:
        buffer = self._device.alloc(nbytes)
        try:
            return buffer, self._device.event()
        except BaseException:
            buffer.close()
            raise

    def _back(self, buffer: Buffer, ready: Event) -> None:
        with self._lock:
            if not self._closed:
                self._idle.setdefault(buffer.nbytes, []).append((buffer, ready))
                return
        buffer.close()
        ready.close()
