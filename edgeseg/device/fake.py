"""A device without a GPU, for tests, ours and users': it moves real bytes, as late as it may, and refuses what a driver would not forgive.

Work that is queued is done when the host waits for it, not before. So a result read too early is wrong here every time, and
so is a buffer that was changed, reused or freed while the device still needed it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from edgeseg.device.base import (
    Buffer,
    CaptureError,
    Device,
    DeviceProbe,
    Driver,
    Event,
    HostBuffer,
    Kernel,
    Recording,
    Resource,
    Stream,
    driver_error,
)
from edgeseg.errors import BackendError
from edgeseg.types import AnyArray, U8Array

Work = Callable[[], object]
KernelTwin = Callable[..., object]
"""Takes a kernel's arguments in order: a buffer as uint8 (bytes,) that may be written, a number as int."""
_Made = TypeVar("_Made", bound=Resource)
_STEP_S = 1e-6
_ALIGNMENT = 256


class FakeCuda(Driver):
    """Always finds its one device."""

    name = "fake"

    def probe(self) -> DeviceProbe:
        """See `edgeseg.device.base.Driver`."""
        return DeviceProbe(True, detail="no GPU: its work is done in numpy; for tests")

    def open(self) -> Device:
        """See `edgeseg.device.base.Driver`."""
        return FakeDevice()


class FakeDevice(Device):
    """Counts what lives, so that a leak shows; refuses what was freed, so that use after free shows.

    Args:
        total_bytes: memory that it has.
        can_capture: whether `capture` works.
        kernels: function name -> what `compile` gives for it, whatever the source.
    """

    def __init__(self, total_bytes: int = 1 << 30, *, can_capture: bool = True, kernels: Mapping[str, KernelTwin] | None = None) -> None:
        self.name, self.compute_capability, self.driven_by = "fake GPU", (0, 0), "numpy"
        self.live: list[Resource] = []
        """All that was made and not closed yet."""
        self.can_capture = can_capture
        self.kernels = dict(kernels or {})
        self._free_bytes = total_bytes
        self._memory: dict[int, U8Array] = {}
        self._streams: dict[int, _Stream] = {}
        self._next = 1
        self._passed_s = 0.0
        self._blocks = threading.local()
        self.lock = threading.RLock()
        """Streams that wait for each other may be driven by several threads."""

    @contextmanager
    def active(self) -> Iterator[None]:
        self._check(self)
        self._blocks.depth = getattr(self._blocks, "depth", 0) + 1
        try:
            yield
        finally:
            self._blocks.depth -= 1

    def alloc(self, nbytes: int) -> Buffer:
        self._require_active()
        if not 0 < nbytes <= self._free_bytes:
            name = "CUDA_ERROR_OUT_OF_MEMORY" if nbytes else "CUDA_ERROR_INVALID_VALUE"
            raise driver_error("cuMemAlloc", name, "fake", nbytes)
        self._free_bytes -= nbytes
        buffer = _Buffer(self, self._number(nbytes), nbytes)
        # Not zeros: memory of a device holds what it held before.
        self._memory[buffer.ptr] = np.full(nbytes, 0xA5, np.uint8)
        return self._born(buffer)

    def pinned(self, nbytes: int) -> HostBuffer:
        self._require_active()
        return self._born(_HostBuffer(self, np.full(nbytes, 0x5A, np.uint8)))

    def stream(self) -> Stream:
        self._require_active()
        stream = _Stream(self, self._number(_ALIGNMENT))
        self._streams[stream.handle] = stream
        return self._born(stream)

    def event(self) -> Event:
        self._require_active()
        return self._born(_Event(self))

    def h2d(self, to: Buffer, source: AnyArray, stream: Stream) -> None:
        self.enqueue(stream.handle, lambda: _copy(self.view(to.ptr), source))

    def d2h(self, to: AnyArray, source: Buffer, stream: Stream) -> None:
        self.enqueue(stream.handle, lambda: _copy(to, self.view(source.ptr)))

    def d2d(self, to: Buffer, source: Buffer, stream: Stream) -> None:
        self.enqueue(stream.handle, lambda: _copy(self.view(to.ptr), self.view(source.ptr)[: to.nbytes]))

    def capture(self, stream: Stream, work: Callable[[], object]) -> Recording:
        if not self.can_capture:
            raise CaptureError("this fake device cannot capture")
        own = self._streams[stream.handle]
        own.captured = []
        try:
            work()
            return self._born(_Recording(self, own.captured))
        finally:
            own.captured = None

    def compile(self, source: str, function: str) -> Kernel:
        self._require_active()
        if function not in self.kernels or function not in source:
            raise BackendError(f"the fake device has no twin of the kernel {function!r}")
        return self._born(_Kernel(self, self.kernels[function]))

    def free_bytes(self) -> int:
        return self._free_bytes

    def view(self, ptr: int) -> U8Array:
        """uint8 (bytes,): the memory at an address that `alloc` gave. For fake engines and kernels, inside queued work."""
        if ptr not in self._memory:
            raise driver_error("cuMemcpyAsync", "CUDA_ERROR_ILLEGAL_ADDRESS", f"nothing lives at {ptr:#x}")
        return self._memory[ptr]

    def enqueue(self, stream_handle: int, work: Work) -> None:
        """Queue work in a stream known by its handle, as libraries do."""
        self._require_active()
        if stream_handle not in self._streams:
            raise driver_error("cuLaunch", "CUDA_ERROR_INVALID_HANDLE", "there is no such stream")
        self._streams[stream_handle].put(work)

    def passed_s(self) -> float:
        """Made-up time: each piece of work takes one microsecond."""
        return self._passed_s

    def do(self, work: Work) -> None:
        """Do a piece of queued work."""
        self._passed_s += _STEP_S
        work()

    def freed(self, resource: Resource) -> None:
        """Take note that something was closed."""
        self.live.remove(resource)
        if isinstance(resource, _Buffer):
            self._free_bytes += resource.nbytes
            del self._memory[resource.ptr]
        elif isinstance(resource, _Stream):
            del self._streams[resource.handle]

    def _born(self, resource: _Made) -> _Made:
        self.live.append(resource)
        return resource

    def _number(self, nbytes: int) -> int:
        """An address that nothing had before."""
        number = self._next * _ALIGNMENT
        self._next += 1 + nbytes // _ALIGNMENT
        return number

    def _require_active(self) -> None:
        if not getattr(self._blocks, "depth", 0):
            raise driver_error("cuCtxGetCurrent", "CUDA_ERROR_INVALID_CONTEXT", "outside of Device.active()")

    @staticmethod
    def _check(resource: Resource) -> None:
        if resource.closed:
            raise driver_error("cuCtxPushCurrent", "CUDA_ERROR_CONTEXT_IS_DESTROYED", "used after close")

    def _free(self) -> None:
        if self.live:
            raise driver_error("cuDevicePrimaryCtxRelease", "CUDA_ERROR_INVALID_VALUE", f"still alive: {self.live}")


def _copy(to: AnyArray, source: AnyArray) -> None:
    to.view(np.uint8).reshape(-1)[: source.nbytes] = source.view(np.uint8).reshape(-1)


class _Buffer(Buffer):
    def __init__(self, device: FakeDevice, ptr: int, nbytes: int) -> None:
        super().__init__(ptr, nbytes)
        self._device = device

    def _free(self) -> None:
        self._device.freed(self)


class _HostBuffer(HostBuffer):
    def __init__(self, device: FakeDevice, array: U8Array) -> None:
        super().__init__(array)
        self._device = device

    def _free(self) -> None:
        self.array[:] = 0xDD
        self._device.freed(self)


class _Stream(Stream):
    def __init__(self, device: FakeDevice, handle: int) -> None:
        super().__init__(self, handle)
        self._device = device
        self._queue: deque[Work] = deque()
        self._done = 0
        self._given = 0
        self.captured: list[Work] | None = None

    def put(self, work: Work) -> None:
        if self.captured is not None:
            self.captured.append(work)
            return
        with self._device.lock:
            self._queue.append(work)
            self._given += 1

    def mark(self) -> int:
        """How much work it was given so far."""
        return self._given

    def advance(self, mark: int) -> None:
        """Do its work up to a mark."""
        with self._device.lock:
            while self._done < mark:
                self._done += 1
                self._device.do(self._queue.popleft())

    def wait(self, event: Event) -> None:
        reached: Work = event.native.capture_point()
        self._device.enqueue(self.handle, reached)

    def synchronize(self) -> None:
        if self.captured is not None:
            raise driver_error("cuStreamSynchronize", "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "the stream is capturing")
        self._device.enqueue(self.handle, lambda: None)
        self.advance(self._given)

    def _free(self) -> None:
        self.advance(self._given)
        self._device.freed(self)


class _Event(Event):
    def __init__(self, device: FakeDevice) -> None:
        super().__init__(self)
        self._device = device
        self._stream: _Stream | None = None
        self._mark = 0
        self._at_s: float | None = None

    def record(self, stream: Stream) -> None:
        own: _Stream = stream.native
        self._at_s = None
        self._device.enqueue(own.handle, self._stamp)
        self._stream, self._mark = own, own.mark()

    def _stamp(self) -> None:
        self._at_s = self._device.passed_s()

    def capture_point(self) -> Work:
        """Work that lets the stream of the last record come to it; to wait for an event that was never recorded is no wait."""
        stream, mark = self._stream, self._mark
        return (lambda: stream.advance(mark)) if stream is not None else (lambda: None)

    def synchronize(self) -> None:
        self.capture_point()()

    def seconds_since(self, start: Event) -> float:
        begun: _Event = start.native
        if self._at_s is None or begun._at_s is None:
            raise driver_error("cuEventElapsedTime", "CUDA_ERROR_NOT_READY", "the device has not come to it")
        return self._at_s - begun._at_s

    def _free(self) -> None:
        self._device.freed(self)


class _Recording(Recording):
    def __init__(self, device: FakeDevice, work: list[Work]) -> None:
        self._device, self._work = device, work

    def launch(self, stream: Stream) -> None:
        if self.closed:
            raise driver_error("cuGraphLaunch", "CUDA_ERROR_INVALID_HANDLE", "used after close")
        for work in self._work:
            self._device.enqueue(stream.handle, work)

    def _free(self) -> None:
        self._device.freed(self)


class _Kernel(Kernel):
    def __init__(self, device: FakeDevice, twin: KernelTwin) -> None:
        self._device, self._twin = device, twin

    def launch(
        self,
        stream: Stream,
        grid: tuple[int, int],  # noqa: ARG002  a twin does the whole grid at once
        block: tuple[int, int],  # noqa: ARG002
        arguments: tuple[Buffer | int, ...],
    ) -> None:
        def work() -> None:
            self._twin(*(self._device.view(value.ptr) if isinstance(value, Buffer) else value for value in arguments))

        self._device.enqueue(stream.handle, work)

    def _free(self) -> None:
        self._device.freed(self)
