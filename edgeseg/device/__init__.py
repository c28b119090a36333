"""The table of packages that drive GPUs, and the choice among them."""

from __future__ import annotations

from edgeseg.device.base import Buffer, CaptureError, Device, DeviceProbe, Driver, Event, HostBuffer, Kernel, Recording, Stream
from edgeseg.device.cuda_python import CudaPython
from edgeseg.device.pycuda import PyCuda

__all__ = [
    "DRIVERS",
    "Buffer",
    "CaptureError",
    "Device",
    "DeviceProbe",
    "Driver",
    "Event",
    "HostBuffer",
    "Kernel",
    "Recording",
    "Stream",
    "choose_device",
]

DRIVERS: dict[str, Driver] = {driver.name: driver for driver in (PyCuda(), CudaPython())}
"""In order of preference."""


def choose_device() -> tuple[Driver | None, DeviceProbe]:
    """The first driver that is usable with its probe; or None, with why none is and what to do."""
    probes = {name: driver.probe() for name, driver in DRIVERS.items()}
    for name, probe in probes.items():
        if probe.usable:
            return DRIVERS[name], probe
    # One that is installed names the machine's own trouble, which the others would meet too.
    installed = [(name, probe) for name, probe in probes.items() if probe.version]
    name, probe = installed[0] if installed else list(probes.items())[-1]
    return None, DeviceProbe(False, probe.version, f"{name}: {probe.detail}", probe.remedy)
