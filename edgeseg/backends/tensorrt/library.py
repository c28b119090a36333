"""Finds the TensorRT that is installed: 10.x, 11.x or TensorRT-RTX. The one module that imports any of them."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from edgeseg.backends.tensorrt import api
from edgeseg.errors import MissingDependencyError

TENSORRT = "tensorrt"
TENSORRT_RTX = "tensorrt_rtx"
REMEDY = "pip install 'edgeseg[tensorrt]', or on Jetson a virtual environment with --system-site-packages, which sees JetPack's TensorRT"
_RTX_WHEEL = "onnxruntime_ep_nv_tensorrt_rtx"
"""The wheel that carries the libraries of ``tensorrt_rtx_bindings``, which has none of its own."""


class Module(Protocol):
    """The part of the module that edgeseg uses; see `edgeseg.backends.tensorrt.api`."""

    __version__: str
    ILogger: type[api.ILogger]
    IProgressMonitor: type[api.IProgressMonitor]
    DataType: api.DataType
    LayerType: api.LayerType
    BuilderFlag: api.BuilderFlag
    NetworkDefinitionCreationFlag: api.NetworkDefinitionCreationFlag
    ComputeCapability: object
    Builder: Callable[[api.ILogger], api.Builder]
    OnnxParser: Callable[[api.INetworkDefinition, api.ILogger], api.OnnxParser]
    Runtime: Callable[[api.ILogger], api.Runtime]


@dataclass(frozen=True)
class Library:
    """One installed TensorRT."""

    module: Module
    kind: str
    """`TENSORRT` or `TENSORRT_RTX`."""
    version: str

    @property
    def rtx(self) -> bool:
        """Whether it is TensorRT-RTX, which can also build for GPUs that are not here."""
        return self.kind == TENSORRT_RTX

    def __str__(self) -> str:
        return f"{'TensorRT-RTX' if self.rtx else 'TensorRT'} {self.version}"


def find() -> Library:
    """The TensorRT of this environment; TensorRT-RTX only where there is no other.

    Raises:
        MissingDependencyError: there is none that loads; says what each attempt met and what to install.
    """
    attempts: tuple[tuple[str, Callable[[], object]], ...] = (
        (TENSORRT, lambda: importlib.import_module("tensorrt")),
        (TENSORRT_RTX, lambda: importlib.import_module("tensorrt_rtx")),
        (TENSORRT_RTX, _rtx_bindings),
    )
    problems = []
    for kind, load in attempts:
        try:
            module = load()
        except (ImportError, OSError) as error:
            problems.append(str(error))
            continue
        if hasattr(module, "Builder"):  # else a folder that happens to have the name
            found = cast("Module", module)
            return Library(found, kind, found.__version__)
    raise MissingDependencyError(
        f"TensorRT is needed for this but cannot be imported ({'; '.join(dict.fromkeys(problems))}). To get it: {REMEDY}"
    )


def _rtx_bindings() -> object:
    """The bindings of TensorRT-RTX, after the libraries that they need.

    These are loaded from their files: importing their wheel would write links into site-packages and change the environment. The
    bindings find them by name, so their symbols need not be global, where those of other libraries could meet them.
    """
    wheel = importlib.util.find_spec(_RTX_WHEEL)
    if wheel is not None and wheel.submodule_search_locations:
        folder = Path(next(iter(wheel.submodule_search_locations)))
        for stem in ("libtensorrt_rtx.so.*.*", "libtensorrt_onnxparser_rtx.so.*.*"):  # the second needs the first
            for file in sorted(folder.glob(stem))[-1:]:
                ctypes.CDLL(str(file))
    return importlib.import_module("tensorrt_rtx_bindings")
