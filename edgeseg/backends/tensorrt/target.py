"""What an engine is built for: a precision, and this GPU or named generations of GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.backends.tensorrt.gpu import Gpu
from edgeseg.backends.tensorrt.library import Library
from edgeseg.errors import BackendError, UsageError

THIS = "this"
PORTABLE = "any GPU"
"""What TensorRT-RTX builds for where it is told no GPU and sees none."""
_CURRENT = "CURRENT"


@dataclass(frozen=True)
class BuildTarget:
    """What to build."""

    precision: str
    capabilities: tuple[str, ...] = ()
    """Members of TensorRT-RTX's ``ComputeCapability``; none = left to the library."""
    fits: tuple[str, ...] = (PORTABLE,)
    """The GPU, or the generations such as ``sm86``, that the engine is for."""


def choose_target(library: Library, gpu: Gpu | None, precision: str, wanted: Sequence[str] = (THIS,)) -> BuildTarget:
    """The target for what a user asks for.

    Args:
        library: what will build.
        gpu: that of this machine.
        precision: ``fp32``, ``fp16`` or ``int8``.
        wanted: ``this``, or generations such as ``sm86``.

    Raises:
        UsageError: the library cannot build for one of them.
        BackendError: ``this`` with TensorRT, and there is no GPU.
    """
    if list(wanted) == [THIS]:
        return _for_this(library, gpu, precision)
    if not library.rtx:
        raise UsageError(
            f"engines of TensorRT are built on the GPU they run on, so --for {','.join(wanted)} needs TensorRT-RTX; here: --for {THIS}"
        )
    known = generations(library)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise UsageError(f"{library} cannot build for {', '.join(unknown)}; it can for {', '.join(known)}; or use --for {THIS}")
    names = tuple(sorted(set(wanted), key=known.index))
    return BuildTarget(precision, tuple(name.upper() for name in names), names)


def generations(library: Library) -> list[str]:
    """Generations of GPUs, such as ``sm86``, that TensorRT-RTX can build for."""
    members = (name.lower() for name in dir(library.module.ComputeCapability) if name.startswith("SM") and name[2:].isdecimal())
    return sorted(members, key=lambda name: int(name[2:]))


def unfit(library: Library, gpu: Gpu | None) -> str:
    """Why a library cannot run on a GPU that is there; empty if it can. TensorRT-RTX leaves out those of data centres and Jetsons."""
    if gpu is None or not library.rtx or gpu.sm in generations(library):
        return ""
    return f"{library} does not run on {gpu}, only on {', '.join(generations(library))}"


def _for_this(library: Library, gpu: Gpu | None, precision: str) -> BuildTarget:
    if problem := unfit(library, gpu):
        raise BackendError(f"{problem}. Install TensorRT itself for this GPU, or use --backend onnxruntime-cuda.")
    if gpu is not None:
        return BuildTarget(precision, (_CURRENT,) if library.rtx else (), (str(gpu),))
    if library.rtx:
        return BuildTarget(precision)
    raise BackendError(
        "TensorRT builds engines on the GPU they run on, and the CUDA driver names none here."
        " Run this on the device ('edgeseg doctor' shows what works), or use --backend onnxruntime."
    )
