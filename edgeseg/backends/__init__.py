"""The table of backends, and the choice among them."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass

from edgeseg.backends.base import Backend, Carried, Probe, Session
from edgeseg.backends.fake import Fake
from edgeseg.backends.onnxruntime import OnnxRuntime
from edgeseg.backends.openvino import OpenVino
from edgeseg.backends.tensorrt import TensorRt
from edgeseg.errors import MissingDependencyError, UsageError

__all__ = ["AUTO", "BACKENDS", "Backend", "Carried", "Choice", "Probe", "Session", "choose", "prefer"]

AUTO = "auto"
BACKENDS: dict[str, Backend] = {backend.name: backend for backend in (OnnxRuntime(), OpenVino(), TensorRt(), Fake())}
_X86 = ("x86_64", "AMD64", "i686")


@dataclass(frozen=True)
class Choice:
    """A backend's name and why it was taken."""

    name: str
    reason: str


def choose(name: str = AUTO) -> Choice:
    """The backend to use on this machine.

    Raises:
        UsageError: there is no backend of that name.
        MissingDependencyError: it, or with ``auto`` every one, cannot be used; says what to install.
    """
    if name == AUTO:
        return prefer({other: BACKENDS[other].probe() for other in ("openvino", "onnxruntime")}, platform.machine())
    if name not in BACKENDS:
        raise UsageError(f"there is no backend {name!r}; choose {AUTO} or one of {', '.join(BACKENDS)}")
    probe = BACKENDS[name].probe()
    if not probe.usable:
        raise MissingDependencyError(f"backend {name} cannot be used here: {probe.detail}. To get it: {probe.remedy}")
    return Choice(name, "as asked")


def prefer(probes: Mapping[str, Probe], machine: str) -> Choice:
    """What ``auto`` means: OpenVINO on an x86 CPU, where its fp32 kernels are the faster ones, else ONNX Runtime."""
    usable = [name for name, probe in probes.items() if probe.usable]
    if "openvino" in usable and machine in _X86:
        return Choice("openvino", f"fastest fp32 on {machine} CPUs")
    if "onnxruntime" in usable:
        why = "OpenVINO is not usable" if machine in _X86 else f"OpenVINO is preferred on x86 only, this is {machine}"
        return Choice("onnxruntime", why)
    if usable:
        return Choice(usable[0], "the only one that is usable")
    remedies = "; ".join(f"{name}: {probe.detail} ({probe.remedy})" for name, probe in probes.items())
    raise MissingDependencyError(f"no backend can be used here. {remedies}")
