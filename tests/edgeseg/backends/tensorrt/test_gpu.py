"""What the CUDA driver is asked of the GPU."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edgeseg.backends.tensorrt import gpu
from edgeseg.backends.tensorrt.gpu import Gpu, find_gpu

ATTRIBUTES = {75: 8, 76: 7}


def driver(failing=()):
    """Answers as libcuda does on an Orin; ``failing`` calls give an error."""

    def name_of(name, _length, _device):
        name.value = b"Orin"
        return 0

    def attribute_of(value, attribute, _device):
        value._obj.value = ATTRIBUTES[attribute]
        return 0

    calls = {"cuInit": lambda _: 0, "cuDeviceGet": lambda *_: 0, "cuDeviceGetName": name_of, "cuDeviceGetAttribute": attribute_of}
    return SimpleNamespace(**calls | {name: lambda *_: 999 for name in failing})


def test_the_gpu_is_told_by_name_and_generation(monkeypatch):
    """An engine is bound to both."""
    monkeypatch.setattr(gpu.ctypes, "CDLL", lambda _: driver())

    assert find_gpu() == Gpu("Orin", (8, 7))
    assert str(find_gpu()) == "Orin (sm87)"


@pytest.mark.parametrize("failing", ["cuInit", "cuDeviceGet"])
def test_a_driver_without_a_gpu_is_no_gpu(monkeypatch, failing):
    """The driver does not start, or it sees no device."""
    monkeypatch.setattr(gpu.ctypes, "CDLL", lambda _: driver({failing}))

    assert find_gpu() is None


def test_no_driver_is_no_gpu():
    """The library is not there."""
    assert find_gpu("libcuda_of_nobody.so.1") is None
