"""What an NVIDIA GPU says of itself, through NVML, which the driver brings; the package ``nvidia-ml-py`` speaks to it."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

VISIBLE = "CUDA_VISIBLE_DEVICES"
_REASONS = {
    0x04: "its power limit",
    0x08: "the hardware",
    0x20: "heat, by the driver",
    0x40: "heat, by the hardware",
    0x80: "the power supply",
}
"""Bits of NVML's clocks event reasons that mean a GPU runs slower than it could; others are choices, such as idling."""

T = TypeVar("T")


@dataclass(frozen=True)
class GpuReading:
    """One look at a GPU; None is what it does not tell."""

    clock_mhz: float | None = None
    """Of its multiprocessors, at this moment: it falls when there is nothing to do."""
    temperature_c: float | None = None
    power_w: float | None = None
    """Mean of about the last second."""
    energy_j: float | None = None
    """A counter of what it has taken."""
    slowed_by: tuple[str, ...] = ()
    """Why its clock is lower than it could be, in words."""


@contextmanager
def watched_gpu() -> Iterator[Callable[[], GpuReading] | None]:
    """Reads the GPU that CUDA takes first, as far as ``CUDA_VISIBLE_DEVICES`` says so; None without package, driver or GPU."""
    nvml = _begun()
    if nvml is None:
        yield None
        return
    try:
        handle = _asked(nvml, lambda: _handle(nvml))
        yield None if handle is None else lambda: _read(nvml, handle)
    finally:
        nvml.nvmlShutdown()


def _begun() -> Any:
    """The package, ready to be asked; None where it or the driver is absent."""
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    return nvml


def _handle(nvml: Any) -> Any:
    first = os.environ.get(VISIBLE, "").partition(",")[0].strip()
    if first and not first.isdecimal():
        return nvml.nvmlDeviceGetHandleByUUID(first)
    return nvml.nvmlDeviceGetHandleByIndex(int(first or 0))


def _read(nvml: Any, handle: Any) -> GpuReading:
    mhz = _asked(nvml, lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM))
    degrees = _asked(nvml, lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
    milliwatts = _asked(nvml, lambda: nvml.nvmlDeviceGetPowerUsage(handle))
    millijoules = _asked(nvml, lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
    # Its name in drivers of every age.
    bits = _asked(nvml, lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)) or 0
    return GpuReading(
        clock_mhz=None if mhz is None else float(mhz),
        temperature_c=None if degrees is None else float(degrees),
        power_w=None if milliwatts is None else milliwatts / 1e3,
        energy_j=None if millijoules is None else millijoules / 1e3,
        slowed_by=tuple(words for bit, words in _REASONS.items() if bits & bit),
    )


def _asked(nvml: Any, ask: Callable[[], T]) -> T | None:
    """The answer; None where this GPU has none."""
    try:
        return ask()
    except nvml.NVMLError:
        return None
