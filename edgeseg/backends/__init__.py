"""The table of backends, and the choice among them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgeseg.backends.base import Backend, Carried, FallsBack, Probe, Session, get_ready, is_ready
from edgeseg.backends.fake import Fake
from edgeseg.backends.onnxruntime import ON_GPU, OnnxRuntime
from edgeseg.backends.openvino import OpenVino
from edgeseg.backends.tensorrt import TensorRt
from edgeseg.backends.tensorrt.gpu import find_gpu
from edgeseg.errors import BackendError, MissingDependencyError, UsageError

__all__ = [
    "AUTO",
    "BACKENDS",
    "BACKGROUND",
    "BUILDS",
    "NEVER",
    "ON_CPU",
    "WAIT",
    "Backend",
    "Carried",
    "Choice",
    "Plan",
    "Probe",
    "Session",
    "backend_named",
    "choose",
    "get_ready",
    "is_ready",
    "plan",
    "prefer",
]

AUTO = "auto"
_ALL: tuple[Backend, ...] = (OnnxRuntime(), OpenVino(), TensorRt(), *map(OnnxRuntime, ON_GPU), Fake())
BACKENDS: dict[str, Backend] = {entry.name: entry for entry in _ALL}
_GPU_FIRST = ("tensorrt", "onnxruntime-cuda")
"""What ``auto`` takes where it can be used, before any backend of the CPU. The other backends of a GPU must be asked for by name:
they build engines anew at every start, or are not known to be faster."""
ON_CPU = ("openvino", "onnxruntime")
_X86 = ("x86_64", "AMD64", "i686")
WAIT, BACKGROUND, NEVER = BUILDS = ("wait", "background", "never")
"""What is done where the best backend has no engine yet: wait for it, start on another backend meanwhile, or do without."""


@dataclass(frozen=True)
class Choice:
    """A backend's name and why it was taken."""

    name: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """Which backend serves, and which one takes over when its engines are built."""

    now: Choice
    later: Choice | None = None


def backend_named(name: str, *, allow_cpu_fallback: bool = False) -> Backend:
    """A backend of the table; where it belongs to a GPU, one that may leave part of a graph to the CPU if that is allowed."""
    found = BACKENDS[name]
    return found.allowing_cpu_fallback() if allow_cpu_fallback and isinstance(found, FallsBack) else found


def plan(name: str, build: str, is_built: Callable[[str], bool]) -> Plan:
    """What runs first and what later.

    Args:
        name: ``auto`` or a backend's name.
        build: one of `BUILDS`.
        is_built: whether the backend of a name could open all graphs at once.

    Raises:
        UsageError, MissingDependencyError: as `choose`.
        BackendError: the backend that was named has no engines, and none may be built.
    """
    if build not in BUILDS:
        raise UsageError(f"build must be one of {', '.join(BUILDS)}, got {build!r}")
    best = choose(name)
    if build == WAIT or is_built(best.name):
        return Plan(best)
    if build == NEVER and name != AUTO:
        raise BackendError(f"{name} has no engines of this bundle, and none may be built. Run 'edgeseg build BUNDLE', or use --build wait")
    try:
        now = choose(AUTO, is_built)
    except MissingDependencyError:
        if build == NEVER:
            raise
        # There is nothing else to start on.
        return Plan(best)
    return Plan(now, best if build == BACKGROUND else None)


def choose(name: str = AUTO, is_built: Callable[[str], bool] = lambda _: True) -> Choice:
    """The backend to use on this machine.

    Args:
        name: ``auto`` or a backend's name.
        is_built: whether a backend is to be considered by ``auto``.

    Raises:
        UsageError: there is no backend of that name.
        MissingDependencyError: it, or with ``auto`` every one, cannot be used; says what to install.
    """
    if name == AUTO:
        # To look for TensorRT is to load it, which is not worth it where there is no GPU.
        probes = {other: BACKENDS[other].probe() for other in (*(_GPU_FIRST if find_gpu() else ()), *ON_CPU)}
        return prefer({other: _unless_built(probe, other, is_built) for other, probe in probes.items()}, platform.machine())
    if name not in BACKENDS:
        raise UsageError(f"there is no backend {name!r}; choose {AUTO} or one of {', '.join(BACKENDS)}")
    probe = BACKENDS[name].probe()
    if not probe.usable:
        raise MissingDependencyError(f"backend {name} cannot be used here: {probe.detail}. To get it: {probe.remedy}")
    return Choice(name, "as asked")


def _unless_built(probe: Probe, name: str, is_built: Callable[[str], bool]) -> Probe:
    if not probe.usable or is_built(name):
        return probe
    return Probe(False, probe.version, "it has no engines of this bundle yet", "edgeseg build BUNDLE")


def prefer(probes: Mapping[str, Probe], machine: str) -> Choice:
    """What ``auto`` means: a GPU where one can be used, TensorRT before CUDA; on CPUs OpenVINO where they are x86, whose fp32
    kernels are the faster ones, else ONNX Runtime.
    """
    usable = [name for name, probe in probes.items() if probe.usable]
    for name in _GPU_FIRST:
        if name in usable:
            return Choice(name, "fastest on this GPU")
    if "openvino" in usable and machine in _X86:
        return Choice("openvino", f"fastest fp32 on {machine} CPUs")
    if "onnxruntime" in usable:
        why = "OpenVINO is not usable" if machine in _X86 else f"OpenVINO is preferred on x86 only, this is {machine}"
        return Choice("onnxruntime", why)
    if usable:
        return Choice(usable[0], "the only one that is usable")
    remedies = "; ".join(f"{name}: {probe.detail} ({probe.remedy})" for name, probe in probes.items())
    raise MissingDependencyError(f"no backend can be used here. {remedies}")
