"""The GPU through PyCUDA."""

from __future__ import annotations

import atexit
import functools
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from edgeseg.device.base import (
    Buffer,
    Device,
    DeviceProbe,
    Driver,
    Event,
    HostBuffer,
    Kernel,
    Recording,
    Stream,
    driver_error,
)
from edgeseg.device.libcuda import Captured
from edgeseg.errors import BackendError, MissingDependencyError
from edgeseg.types import AnyArray

REMEDY = "pip install pycuda, which compiles it and needs nvcc and a C++ compiler"
NO_DRIVER = "install NVIDIA's driver, and run where the GPU is visible (in a container: --gpus all or --runtime nvidia)"
_NON_BLOCKING = 1
_P = ParamSpec("_P")
_R = TypeVar("_R")
_NAMES = {
    "invalid argument": "INVALID_VALUE",
    "out of memory": "OUT_OF_MEMORY",
    "initialization error": "NOT_INITIALIZED",
    "driver shutting down": "DEINITIALIZED",
    "no CUDA-capable device is detected": "NO_DEVICE",
    "invalid device ordinal": "INVALID_DEVICE",
    "invalid device context": "INVALID_CONTEXT",
    "invalid resource handle": "INVALID_HANDLE",
    "device kernel image is invalid": "INVALID_IMAGE",
    "no kernel image is available for execution on the device": "NO_BINARY_FOR_GPU",
    "named symbol not found": "NOT_FOUND",
    "device not ready": "NOT_READY",
    "an illegal memory access was encountered": "ILLEGAL_ADDRESS",
    "too many resources requested for launch": "LAUNCH_OUT_OF_RESOURCES",
    "the launch timed out and was terminated": "LAUNCH_TIMEOUT",
    "unspecified launch failure": "LAUNCH_FAILED",
    "uncorrectable ECC error encountered": "ECC_UNCORRECTABLE",
    "CUDA driver version is insufficient for CUDA runtime version": "INSUFFICIENT_DRIVER",
    "operation not permitted when stream is capturing": "STREAM_CAPTURE_UNSUPPORTED",
}
"""The driver's words for an error, which PyCUDA gives, -> the rest of its name after CUDA_ERROR_."""


def _pycuda() -> Any:
    return importlib.import_module("pycuda.driver")


def _compiler() -> Any:
    return importlib.import_module("pycuda.compiler")


def _version() -> str:
    return ".".join(str(part) for part in importlib.import_module("pycuda").VERSION)


@functools.cache
def _context() -> Any:
    """The primary context of the first GPU, kept until the process ends.

    A context of PyCUDA belongs to the thread that made it, and to give a primary one back leaves it on that thread's stack.
    Pushed for each block of work instead, one object serves every thread, and no stack is left with anything on it, which would
    end the process with an abort.
    """
    driver = _pycuda()
    driver.init()
    context = driver.Device(0).retain_primary_context()
    # Left to its destructor, it would be given back as a context that is no primary one, which the driver refuses.
    atexit.register(context.detach)
    return context


class PyCuda(Driver):
    """PyCUDA 2024.1 or newer."""

    name = "pycuda"

    def probe(self) -> DeviceProbe:
        """See `edgeseg.device.base.Driver`."""
        try:
            driver, version = _pycuda(), _version()
        except ImportError as error:
            return DeviceProbe(False, detail=str(error), remedy=REMEDY if isinstance(error, ModuleNotFoundError) else NO_DRIVER)
        try:
            driver.init()
            return DeviceProbe(True, version, driver.Device(0).name())
        except driver.Error as error:
            return DeviceProbe(False, version, str(_error(error)), NO_DRIVER)

    def open(self) -> Device:
        """See `edgeseg.device.base.Driver`."""
        try:
            driver, version = _pycuda(), _version()
        except ImportError as error:
            raise MissingDependencyError.for_extra("pycuda", "tensorrt", error) from error
        try:
            return _Device(_context(), f"PyCUDA {version}")
        except driver.Error as error:
            raise _error(error) from error


def _translated(work: Callable[_P, _R]) -> Callable[_P, _R]:
    """The same function, whose errors of PyCUDA come out as `BackendError`."""

    @functools.wraps(work)
    def translating(*arguments: _P.args, **named: _P.kwargs) -> _R:
        try:
            return work(*arguments, **named)
        except _pycuda().Error as error:
            raise _error(error) from error

    return translating


def _error(error: Exception, nbytes: int = 0) -> BackendError:
    """What PyCUDA says as ``function failed: words of the driver``; ``nbytes`` is how much memory was asked for."""
    call, _, text = str(error).partition(" failed: ")
    name = _NAMES.get(text.partition(" - ")[0])
    return driver_error(call, f"CUDA_ERROR_{name}" if name else type(error).__name__, text, nbytes)


class _Device(Device):
    def __init__(self, context: Any, driven_by: str) -> None:
        device = _pycuda().Device(0)
        self.name, self.compute_capability, self.driven_by = device.name(), device.compute_capability(), driven_by
        self._driver, self._context = _pycuda(), context

    @contextmanager
    def active(self) -> Iterator[None]:
        self._context.push()
        try:
            yield
        finally:
            self._driver.Context.pop()

    def alloc(self, nbytes: int) -> Buffer:
        try:
            return _Buffer(self, self._driver.mem_alloc(nbytes), nbytes)
        except self._driver.Error as error:
            raise _error(error, nbytes) from error

    def pinned(self, nbytes: int) -> HostBuffer:
        try:
            return _HostBuffer(self, self._driver.pagelocked_empty(nbytes, "uint8"))
        except self._driver.Error as error:
            raise _error(error, nbytes) from error

    @_translated
    def stream(self) -> Stream:
        return _Stream(self, self._driver.Stream(_NON_BLOCKING))

    @_translated
    def event(self) -> Event:
        return _Event(self, self._driver.Event())

    @_translated
    def h2d(self, to: Buffer, source: AnyArray, stream: Stream) -> None:
        self._driver.memcpy_htod_async(to.ptr, source, stream.native)

    @_translated
    def d2h(self, to: AnyArray, source: Buffer, stream: Stream) -> None:
        self._driver.memcpy_dtoh_async(to, source.ptr, stream.native)

    @_translated
    def d2d(self, to: Buffer, source: Buffer, stream: Stream) -> None:
        self._driver.memcpy_dtod_async(to.ptr, source.ptr, to.nbytes, stream.native)

    def capture(self, stream: Stream, work: Callable[[], object]) -> Recording:
        return _Recording(self, Captured(stream.handle, work))

    @_translated
    def compile(self, source: str, function: str) -> Kernel:
        try:
            module = _compiler().SourceModule(source, no_extern_c=True)
            return _Kernel(self, module, module.get_function(function))
        except (self._driver.CompileError, OSError) as error:
            raise BackendError(f"nvcc, with which PyCUDA compiles for the GPU, is missing or refuses the kernel: {error}") from error

    @_translated
    def free_bytes(self) -> int:
        return int(self._driver.mem_get_info()[0])

    def _free(self) -> None:
        """The context stays for the next device; see `_context`."""


class _Buffer(Buffer):
    def __init__(self, device: _Device, allocation: Any, nbytes: int) -> None:
        super().__init__(int(allocation), nbytes)
        self._device, self._allocation = device, allocation

    def _free(self) -> None:
        with self._device.active():
            self._allocation.free()


class _HostBuffer(HostBuffer):
    def __init__(self, device: _Device, array: AnyArray) -> None:
        super().__init__(array)
        self._device, self._allocation = device, array.base

    def _free(self) -> None:
        with self._device.active():
            self._allocation.free()  # type: ignore[union-attr]  # PyCUDA's own object, which owns the memory


class _Stream(Stream):
    def __init__(self, device: _Device, stream: Any) -> None:
        super().__init__(stream, stream.handle)
        self._device = device

    @_translated
    def wait(self, event: Event) -> None:
        self.native.wait_for_event(event.native)

    @_translated
    def synchronize(self) -> None:
        self.native.synchronize()

    def _free(self) -> None:
        # PyCUDA frees it with its last reference, which must go while the context is current.
        with self._device.active():
            self.native = None


class _Event(Event):
    def __init__(self, device: _Device, event: Any) -> None:
        super().__init__(event)
        self._device = device

    @_translated
    def record(self, stream: Stream) -> None:
        self.native.record(stream.native)

    @_translated
    def synchronize(self) -> None:
        self.native.synchronize()

    @_translated
    def seconds_since(self, start: Event) -> float:
        return float(self.native.time_since(start.native)) / 1e3

    def _free(self) -> None:
        with self._device.active():
            self.native = None


class _Recording(Recording):
    def __init__(self, device: _Device, captured: Captured) -> None:
        self._device, self._captured = device, captured

    def launch(self, stream: Stream) -> None:
        self._captured.launch(stream.handle)

    def _free(self) -> None:
        with self._device.active():
            self._captured.free()


class _Kernel(Kernel):
    def __init__(self, device: _Device, module: Any, function: Any) -> None:
        self._device, self._module, self._function = device, module, function

    @_translated
    def launch(self, stream: Stream, grid: tuple[int, int], block: tuple[int, int], arguments: tuple[Buffer | int, ...]) -> None:
        values = [value.ptr if isinstance(value, Buffer) else value for value in arguments]
        self._function.prepare("".join("P" if isinstance(value, Buffer) else "i" for value in arguments))
        self._function.prepared_async_call(grid, (*block, 1), stream.native, *values)

    def _free(self) -> None:
        with self._device.active():
            self._function = self._module = None
