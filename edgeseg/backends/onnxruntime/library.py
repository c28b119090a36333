"""The one place that imports ONNX Runtime and the package of its TensorRT-RTX provider."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import importlib.util
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PLUGIN = "onnxruntime_ep_nv_tensorrt_rtx"
"""Package that brings the provider TensorRT-RTX as a plug-in."""
WARNING, FATAL = 2, 4
"""Severities of ONNX Runtime's log. What it logs as an error it also raises."""


def library() -> Any:
    """The module; raises ImportError where it is not installed."""
    return importlib.import_module("onnxruntime")


@functools.cache
def preload_cuda() -> None:
    """Load the CUDA and cuDNN that pip brings, which the system's loader does not find; once in a process."""
    # Since ONNX Runtime 1.21; before that they had to be on the loader's path.
    if (preload := getattr(library(), "preload_dlls", None)) is not None:
        with contextlib.redirect_stdout(io.StringIO()):
            preload()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep ONNX Runtime from writing on the terminal what it also raises, while it looks for a GPU: there is no session's log yet."""
    set_severity = library().set_default_logger_severity
    set_severity(FATAL)
    try:
        yield
    finally:
        # It cannot be asked what it was; this is what it is unless a program sets another.
        set_severity(WARNING)


def load_provider(name: str) -> None:
    """Load the library of a provider, ``tensorrt``, and with it what it needs.

    Another provider of a GPU must have started before: it sets up what the libraries of providers use while they are loaded.

    Raises:
        OSError: it, or something that it needs, is missing; the text names the file.
    """
    native = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    file = f"onnxruntime_providers_{name}.dll" if sys.platform == "win32" else f"libonnxruntime_providers_{name}.so"
    ctypes.CDLL(str(Path(native.__file__ or "").parent / file))


def errors(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises, and ``more``: classes of its own that share no base but Exception."""
    native = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    own = [entry for entry in vars(native).values() if isinstance(entry, type) and issubclass(entry, Exception)]
    return (*own, RuntimeError, ValueError, *more)


def plugin_installed() -> bool:
    """Whether the plug-in's package is there. Looked up, not imported: importing it loads all of TensorRT-RTX."""
    return importlib.util.find_spec(PLUGIN) is not None


@functools.cache
def register_plugin(provider: str) -> None:
    """Make the plug-in's provider known to ONNX Runtime, once in a process.

    Raises:
        ImportError: the package is not installed.
        Exception: one of `errors`: the plug-in does not load, usually for lack of the driver.
    """
    plugin = importlib.import_module("onnxruntime_ep_nv_tensorrt_rtx")
    library().register_execution_provider_library(provider, plugin.get_library_path())
