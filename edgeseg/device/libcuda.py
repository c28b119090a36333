"""What PyCUDA lacks of the CUDA driver, asked of the driver's own library: the capture of a stream's work as a graph."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

from edgeseg.device.base import CaptureError, driver_error

FILE = "libcuda.so.1"
_THREAD_LOCAL = 1
"""Capture what this thread gives to the stream: what other threads do meanwhile neither enters nor spoils it."""


class Captured:
    """A graph of work that can be launched. The device's context must be current in everything."""

    def __init__(self, stream: int, work: Callable[[], object]) -> None:
        where = ctypes.c_void_p(stream)
        _call("cuStreamBeginCapture_v2", where, _THREAD_LOCAL)
        try:
            work()
        except BaseException:
            failed, ready = _end(where)
            if not failed:
                _call("cuGraphExecDestroy", ready)
            raise
        code, self._ready = _end(where)
        if code:
            raise CaptureError(f"CUDA cannot capture it ({_name(code)})")

    def launch(self, stream: int) -> None:
        """Queue all of it."""
        _call("cuGraphLaunch", self._ready, ctypes.c_void_p(stream))

    def free(self) -> None:
        """Forget it."""
        _call("cuGraphExecDestroy", self._ready)


def _end(stream: ctypes.c_void_p) -> tuple[int, ctypes.c_void_p]:
    """End a capture: the driver's error code, and the graph, ready to be launched if that is 0."""
    graph, ready = ctypes.c_void_p(), ctypes.c_void_p()
    code = _library().cuStreamEndCapture(stream, ctypes.byref(graph))
    if code == 0:
        code = _library().cuGraphInstantiateWithFlags(ctypes.byref(ready), graph, ctypes.c_ulonglong(0))
        _library().cuGraphDestroy(graph)
    return code, ready


@functools.cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(FILE)


def _call(name: str, *arguments: object) -> None:
    try:
        function = getattr(_library(), name)
    except (OSError, AttributeError) as error:
        raise CaptureError(f"the CUDA driver lacks {name}: {error}") from error
    code = function(*arguments)
    if code:
        raise driver_error(name.removesuffix("_v2"), _name(code), "asked directly")


def _name(code: int) -> str:
    text = ctypes.c_char_p()
    _library().cuGetErrorName(code, ctypes.byref(text))
    return text.value.decode() if text.value else f"error {code}"
