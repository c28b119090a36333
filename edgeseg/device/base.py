"""What is needed of a GPU: memory, streams, events, captured work, kernels. It knows nothing of tensors."""

from __future__ import annotations

import abc
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from edgeseg.errors import BackendError
from edgeseg.types import AnyArray, U8Array

_MEMORY_CALLS = ("cuMemAlloc", "cuMemHostAlloc")
_LOST = ("CUDA_ERROR_ILLEGAL_ADDRESS", "CUDA_ERROR_LAUNCH_FAILED", "CUDA_ERROR_LAUNCH_TIMEOUT", "CUDA_ERROR_ECC_UNCORRECTABLE")
"""After these the driver refuses every further call of the process."""


@dataclass(frozen=True)
class DeviceProbe:
    """Whether a package can drive a GPU on this machine, and what to do if not."""

    usable: bool
    version: str = ""
    """Version of the package; empty when not installed."""
    detail: str = ""
    """The GPU, or why there is none."""
    remedy: str = ""
    """What makes it usable; empty when it is."""


class CaptureError(Exception):
    """Work that cannot be captured; it can still be run plainly. Never reaches a user."""


class Resource(abc.ABC):
    """Something that must be freed: by `close` or by leaving its block. Closing twice is fine."""

    closed = False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Free it, on any thread. What the device still does with it must be over."""
        if not self.closed:
            self.closed = True
            self._free()

    @abc.abstractmethod
    def _free(self) -> None: ...


class Buffer(Resource):
    """Memory on the device."""

    def __init__(self, ptr: int, nbytes: int) -> None:
        self.ptr = ptr
        """Its address on the device."""
        self.nbytes = nbytes

    def __enter__(self) -> Buffer:
        return self


class HostBuffer(Resource):
    """Page-locked memory of the host, which the device reads and writes while the host does other things."""

    def __init__(self, array: U8Array) -> None:
        self.array = array
        """uint8 (bytes,); not to be touched after closing."""

    def __enter__(self) -> HostBuffer:
        return self


class Event(Resource):
    """A point in a stream's work."""

    def __init__(self, native: Any) -> None:
        self.native = native
        """The package's own object."""

    def __enter__(self) -> Event:
        return self

    @abc.abstractmethod
    def record(self, stream: Stream) -> None:
        """Set it to the end of what the stream was given so far."""

    @abc.abstractmethod
    def synchronize(self) -> None:
        """Wait until the device has come to it."""

    @abc.abstractmethod
    def seconds_since(self, start: Event) -> float:
        """Time between two events that the device has passed, seconds."""


class Stream(Resource):
    """A queue of work for the device, done in order; work in different streams is not ordered, unless by events."""

    def __init__(self, native: Any, handle: int) -> None:
        self.native = native
        """The package's own object."""
        self.handle = handle
        """What other libraries on the same GPU know it by."""

    def __enter__(self) -> Stream:
        return self

    @abc.abstractmethod
    def wait(self, event: Event) -> None:
        """Let what is queued from now on wait for the event; the host does not wait."""

    @abc.abstractmethod
    def synchronize(self) -> None:
        """Wait until all of its work is done."""


class Recording(Resource):
    """Captured work, replayed with one call and with the addresses that it was captured with."""

    def __enter__(self) -> Recording:
        return self

    @abc.abstractmethod
    def launch(self, stream: Stream) -> None:
        """Queue all of it again."""


class Kernel(Resource):
    """A function compiled for the device."""

    def __enter__(self) -> Kernel:
        return self

    @abc.abstractmethod
    def launch(self, stream: Stream, grid: tuple[int, int], block: tuple[int, int], arguments: tuple[Buffer | int, ...]) -> None:
        """Queue one run; a buffer is passed as its address, a number as int."""


class Device(Resource):
    """One GPU. It shares the primary context with everything else in the process that uses this GPU, such as torch.

    Everything but `close` happens inside ``with device.active():``, on any thread. The memory that it gave must be
    closed before it.
    """

    name: str
    """As the driver calls it, such as NVIDIA H100."""
    compute_capability: tuple[int, int]
    driven_by: str
    """Package and version, such as PyCUDA 2026.1."""

    def __enter__(self) -> Device:
        return self

    @abc.abstractmethod
    def active(self) -> AbstractContextManager[None]:
        """Makes the device the calling thread's own for a block; blocks nest."""

    @abc.abstractmethod
    def alloc(self, nbytes: int) -> Buffer:
        """Memory on the device.

        Raises:
            BackendError: there is not enough; says how much was asked for.
        """

    @abc.abstractmethod
    def pinned(self, nbytes: int) -> HostBuffer:
        """Page-locked memory of the host."""

    @abc.abstractmethod
    def stream(self) -> Stream:
        """A new stream that waits for no other."""

    @abc.abstractmethod
    def event(self) -> Event:
        """A new event that keeps the time."""

    @abc.abstractmethod
    def h2d(self, to: Buffer, source: AnyArray, stream: Stream) -> None:
        """Queue a copy of a contiguous array of a `HostBuffer`; it must not change until the copy is done."""

    @abc.abstractmethod
    def d2h(self, to: AnyArray, source: Buffer, stream: Stream) -> None:
        """Queue a copy into a contiguous array of a `HostBuffer`; it is filled once the stream has done it."""

    @abc.abstractmethod
    def d2d(self, to: Buffer, source: Buffer, stream: Stream) -> None:
        """Queue a copy of all of ``to``'s bytes."""

    @abc.abstractmethod
    def capture(self, stream: Stream, work: Callable[[], object]) -> Recording:
        """What ``work`` gives to the stream, recorded instead of done.

        Raises:
            CaptureError: it cannot be captured; nothing of it is left in the stream.
        """

    @abc.abstractmethod
    def compile(self, source: str, function: str) -> Kernel:
        """An ``extern "C" __global__`` function of CUDA C++ source.

        Raises:
            BackendError: the compiler is missing or refuses the source.
        """

    @abc.abstractmethod
    def free_bytes(self) -> int:
        """Memory of the device that nothing uses now."""


class Driver(abc.ABC):
    """A package that drives GPUs."""

    name: str

    @abc.abstractmethod
    def probe(self) -> DeviceProbe:
        """Look whether it finds a GPU, without raising."""

    @abc.abstractmethod
    def open(self) -> Device:
        """The first GPU that the driver shows (CUDA_VISIBLE_DEVICES chooses it).

        Raises:
            MissingDependencyError: the package is not installed.
            BackendError: there is no GPU, or it cannot be used.
        """


def driver_error(call: str, name: str, text: str, nbytes: int = 0) -> BackendError:
    """What a failed call of the CUDA driver means to the user.

    Args:
        call: the driver's function.
        name: the error's name, such as CUDA_ERROR_OUT_OF_MEMORY.
        text: the driver's own words.
        nbytes: how much memory was asked for.
    """
    cause = f"{call}: {name}, {text}"
    if name == "CUDA_ERROR_OUT_OF_MEMORY" and call in _MEMORY_CALLS:
        where = "the GPU has" if call == "cuMemAlloc" else "the host has"
        return BackendError(
            f"{where} no {nbytes / 1e6:.1f} MB of memory left ({cause}). End other programs that use it, or run a smaller model."
        )
    if name in _LOST:
        return BackendError(f"the GPU stopped at a fault ({cause}), and this process cannot use it any more. Start the program again.")
    return BackendError(f"the CUDA driver failed ({cause}). 'edgeseg doctor' shows what this machine has.")
