"""The GPU through NVIDIA's own package, cuda-bindings (cuda-python)."""

from __future__ import annotations

import ctypes
import functools
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

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
    Stream,
    driver_error,
)
from edgeseg.errors import BackendError, MissingDependencyError
from edgeseg.types import AnyArray

REMEDY = "pip install 'edgeseg[tensorrt]'"
NO_DRIVER = "install NVIDIA's driver, and run where the GPU is visible (in a container: --gpus all or --runtime nvidia)"


def _cuda() -> Any:
    return importlib.import_module("cuda.bindings.driver")


def _nvrtc() -> Any:
    return importlib.import_module("cuda.bindings.nvrtc")


class CudaPython(Driver):
    """cuda-bindings 12 or 13."""

    name = "cuda-python"

    def probe(self) -> DeviceProbe:
        """See `edgeseg.device.base.Driver`."""
        try:
            version = importlib.import_module("cuda.bindings").__version__
        except ImportError as error:
            return DeviceProbe(False, detail=str(error), remedy=REMEDY)
        try:
            _call("cuInit", 0)
            device = _call("cuDeviceGet", 0)
            return DeviceProbe(True, version, _name(device))
        except BackendError as error:
            return DeviceProbe(False, version, str(error), NO_DRIVER)

    def open(self) -> Device:
        """See `edgeseg.device.base.Driver`."""
        try:
            version = importlib.import_module("cuda.bindings").__version__
        except ImportError as error:
            raise MissingDependencyError.for_extra("cuda-bindings", "tensorrt", error) from error
        _call("cuInit", 0)
        return _Device(_call("cuDeviceGet", 0), f"cuda-bindings {version}")


@functools.cache
def _function(name: str) -> Any:
    return getattr(_cuda(), name)


def _call(name: str, *arguments: Any, nbytes: int = 0) -> Any:
    """What a function of the driver gives, or its error code as `BackendError`."""
    try:
        code, *values = _function(name)(*arguments)
    except RuntimeError as error:
        # Without libcuda the package raises errors of its own instead of returning one.
        raise BackendError(f"the CUDA driver cannot be used: {error}. To get it: {NO_DRIVER}.") from error
    if code:
        raise driver_error(name, _error_name(code), _text(_cuda().cuGetErrorString(code)[1]), nbytes)
    return values[0] if len(values) == 1 else values


def _error_name(code: Any) -> str:
    return str(code.name)


def _text(value: bytes | None) -> str:
    return value.decode() if value else "no explanation"


def _name(device: Any) -> str:
    return str(_call("cuDeviceGetName", 256, device).split(b"\0")[0].decode())


class _Device(Device):
    def __init__(self, device: Any, driven_by: str) -> None:
        kind = _cuda().CUdevice_attribute
        attributes = (kind.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, kind.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
        major, minor = (int(_call("cuDeviceGetAttribute", attribute, device)) for attribute in attributes)
        self.name, self.compute_capability, self.driven_by = _name(device), (major, minor), driven_by
        self._device = device
        self._context = _call("cuDevicePrimaryCtxRetain", device)

    @contextmanager
    def active(self) -> Iterator[None]:
        _call("cuCtxPushCurrent", self._context)
        try:
            yield
        finally:
            _call("cuCtxPopCurrent")

    def alloc(self, nbytes: int) -> Buffer:
        return _Buffer(self, int(_call("cuMemAlloc", nbytes, nbytes=nbytes)), nbytes)

    def pinned(self, nbytes: int) -> HostBuffer:
        return _HostBuffer(self, int(_call("cuMemHostAlloc", nbytes, 0, nbytes=nbytes)), nbytes)

    def stream(self) -> Stream:
        return _Stream(self, _call("cuStreamCreate", _cuda().CUstream_flags.CU_STREAM_NON_BLOCKING))

    def event(self) -> Event:
        return _Event(self, _call("cuEventCreate", 0))

    def h2d(self, to: Buffer, source: AnyArray, stream: Stream) -> None:
        _call("cuMemcpyHtoDAsync", to.ptr, source.ctypes.data, source.nbytes, stream.native)

    def d2h(self, to: AnyArray, source: Buffer, stream: Stream) -> None:
        _call("cuMemcpyDtoHAsync", to.ctypes.data, source.ptr, to.nbytes, stream.native)

    def d2d(self, to: Buffer, source: Buffer, stream: Stream) -> None:
        _call("cuMemcpyDtoDAsync", to.ptr, source.ptr, to.nbytes, stream.native)

    def capture(self, stream: Stream, work: Callable[[], object]) -> Recording:
        # Of this thread alone: what other threads do meanwhile neither enters nor spoils it.
        _call("cuStreamBeginCapture", stream.native, _cuda().CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        try:
            work()
        except BaseException:
            self._abandon(stream)
            raise
        try:
            return _Recording(self, _call("cuStreamEndCapture", stream.native))
        except BackendError as error:
            raise CaptureError(str(error)) from error

    def _abandon(self, stream: Stream) -> None:
        """End a capture whose work failed; what it holds is thrown away."""
        with suppress(BackendError):
            _call("cuGraphDestroy", _call("cuStreamEndCapture", stream.native))

    def compile(self, source: str, function: str) -> Kernel:
        return _Kernel(self, _binary(source, self.compute_capability), function)

    def free_bytes(self) -> int:
        return int(_call("cuMemGetInfo")[0])

    def release(self, call: str, handle: Any) -> None:
        """Free something of this device, on whatever thread."""
        with self.active():
            _call(call, handle)

    def _free(self) -> None:
        _call("cuDevicePrimaryCtxRelease", self._device)


class _Buffer(Buffer):
    def __init__(self, device: _Device, ptr: int, nbytes: int) -> None:
        super().__init__(ptr, nbytes)
        self._device = device

    def _free(self) -> None:
        self._device.release("cuMemFree", self.ptr)


class _HostBuffer(HostBuffer):
    def __init__(self, device: _Device, ptr: int, nbytes: int) -> None:
        super().__init__(np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(ptr)))
        self._device, self._ptr = device, ptr

    def _free(self) -> None:
        self._device.release("cuMemFreeHost", self._ptr)


class _Stream(Stream):
    def __init__(self, device: _Device, stream: Any) -> None:
        super().__init__(stream, int(stream))
        self._device = device

    def wait(self, event: Event) -> None:
        _call("cuStreamWaitEvent", self.native, event.native, 0)

    def synchronize(self) -> None:
        _call("cuStreamSynchronize", self.native)

    def _free(self) -> None:
        self._device.release("cuStreamDestroy", self.native)


class _Event(Event):
    def __init__(self, device: _Device, event: Any) -> None:
        super().__init__(event)
        self._device = device

    def record(self, stream: Stream) -> None:
        _call("cuEventRecord", self.native, stream.native)

    def synchronize(self) -> None:
        _call("cuEventSynchronize", self.native)

    def seconds_since(self, start: Event) -> float:
        return float(_call("cuEventElapsedTime", start.native, self.native)) / 1e3

    def _free(self) -> None:
        self._device.release("cuEventDestroy", self.native)


class _Recording(Recording):
    def __init__(self, device: _Device, graph: Any) -> None:
        self._device = device
        try:
            self._ready = _call("cuGraphInstantiate", graph, 0)
        finally:
            _call("cuGraphDestroy", graph)

    def launch(self, stream: Stream) -> None:
        _call("cuGraphLaunch", self._ready, stream.native)

    def _free(self) -> None:
        self._device.release("cuGraphExecDestroy", self._ready)


class _Kernel(Kernel):
    def __init__(self, device: _Device, binary: bytes, function: str) -> None:
        self._device = device
        self._module = _call("cuModuleLoadData", binary)
        try:
            self._function = _call("cuModuleGetFunction", self._module, function.encode())
        except BackendError:
            self.close()
            raise

    def launch(self, stream: Stream, grid: tuple[int, int], block: tuple[int, int], arguments: tuple[Buffer | int, ...]) -> None:
        values = tuple(value.ptr if isinstance(value, Buffer) else value for value in arguments)
        kinds = tuple(ctypes.c_void_p if isinstance(value, Buffer) else ctypes.c_int for value in arguments)
        _call("cuLaunchKernel", self._function, *grid, 1, *block, 1, 0, stream.native, (values, kinds), 0)

    def _free(self) -> None:
        self._device.release("cuModuleUnload", self._module)


def _binary(source: str, capability: tuple[int, int]) -> bytes:
    """Machine code of CUDA C++ source for one GPU, by NVRTC."""
    options = [f"--gpu-architecture=sm_{capability[0]}{capability[1]}".encode()]
    try:
        nvrtc = _nvrtc()
        _, program = nvrtc.nvrtcCreateProgram(source.encode(), b"kernel.cu", 0, [], [])
        code = nvrtc.nvrtcCompileProgram(program, len(options), options)[0]
        # NVRTC writes into these bytes. One more than needed: Python shares those of length 0 and 1 with all of the process.
        log = bytes(nvrtc.nvrtcGetProgramLogSize(program)[1] + 1)
        nvrtc.nvrtcGetProgramLog(program, log)
        binary = bytes(nvrtc.nvrtcGetCUBINSize(program)[1] + 1)
        nvrtc.nvrtcGetCUBIN(program, binary)
        nvrtc.nvrtcDestroyProgram(program)
    except (ImportError, RuntimeError) as error:
        raise BackendError(f"NVRTC, which compiles for the GPU, cannot be used ({error}). Get it: pip install nvidia-cuda-nvrtc") from error
    if code:
        raise BackendError(f"NVRTC refuses the kernel ({code.name}): {log.decode(errors='replace').strip(chr(0)).strip()}")
    return binary
