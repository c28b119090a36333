"""The GPU of this machine, as the CUDA driver names it."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""
_NAME_BYTES = 256


@dataclass(frozen=True)
class Gpu:
    """What an engine depends on."""

    name: str
    capability: tuple[int, int]

    @property
    def sm(self) -> str:
        """Its generation as compilers write it, such as ``sm87``."""
        return "sm{}{}".format(*self.capability)

    def __str__(self) -> str:
        return f"{self.name} ({self.sm})"


def find_gpu(driver: str = "libcuda.so.1") -> Gpu | None:
    """The first GPU, which is the one that TensorRT uses; None where there is no GPU or no driver.

    Asked of the driver itself, so that building an engine needs no other package.
    """
    try:
        cuda = ctypes.CDLL(driver)
    except OSError:
        return None
    device, major, minor, name = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(_NAME_BYTES)
    steps = (
        cuda.cuInit(0),
        cuda.cuDeviceGet(ctypes.byref(device), 0),
        cuda.cuDeviceGetName(name, _NAME_BYTES, device),
        cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device),
        cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device),
    )
    return None if any(steps) else Gpu(name.value.decode(errors="replace"), (major.value, minor.value))
