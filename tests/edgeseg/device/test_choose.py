"""Which package drives the GPU, and what is said where none can."""

from __future__ import annotations

import importlib.util

import pytest

from edgeseg import device
from edgeseg.device import Device, DeviceProbe, Driver, choose_device
from edgeseg.device.base import driver_error
from edgeseg.errors import MissingDependencyError


class Known(Driver):
    """Answers as told."""

    def __init__(self, name: str, probe: DeviceProbe) -> None:
        self.name, self._probe = name, probe

    def probe(self) -> DeviceProbe:
        return self._probe

    def open(self) -> Device:
        raise NotImplementedError


THERE = DeviceProbe(True, "1.0", "a GPU")
ABSENT = DeviceProbe(False, detail="No module", remedy="pip install it")
NO_GPU = DeviceProbe(False, "2.0", "no GPU found", "install the driver")


@pytest.mark.parametrize(
    ("probes", "chosen", "detail"),
    [
        ({"a": THERE, "b": THERE}, "a", "a GPU"),
        ({"a": ABSENT, "b": THERE}, "b", "a GPU"),
        ({"a": NO_GPU, "b": THERE}, "b", "a GPU"),
        ({"a": ABSENT, "b": ABSENT}, None, "b: No module"),
        ({"a": ABSENT, "b": NO_GPU}, None, "b: no GPU found"),
        ({"a": NO_GPU, "b": ABSENT}, None, "a: no GPU found"),
    ],
)
def test_the_first_that_works_is_taken(
    probes: dict[str, DeviceProbe], chosen: str | None, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the trouble of one that is installed is told, or how to get the last, which needs no compiler."""
    monkeypatch.setattr(device, "DRIVERS", {name: Known(name, probe) for name, probe in probes.items()})

    driver, probe = choose_device()

    assert (driver.name if driver else None, probe.detail, probe.usable) == (chosen, detail, chosen is not None)
    assert bool(probe.remedy) is (chosen is None)


def test_pycuda_comes_first() -> None:
    """Where both work."""
    assert list(device.DRIVERS) == ["pycuda", "cuda-python"]


@pytest.mark.parametrize(("name", "package"), [("pycuda", "pycuda"), ("cuda-python", "cuda")])
def test_a_package_that_is_not_installed_is_named_with_its_remedy(name: str, package: str) -> None:
    """By the probe without raising, by opening with the extra to install."""
    if importlib.util.find_spec(package):
        pytest.skip(f"{package} is installed here")

    probe = device.DRIVERS[name].probe()

    assert (probe.usable, probe.version) == (False, "")
    assert package in probe.detail
    assert "pip install" in probe.remedy
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgeseg\[tensorrt\]'"):
        device.DRIVERS[name].open()


@pytest.mark.parametrize(
    ("call", "name", "said"),
    [
        ("cuMemAlloc", "CUDA_ERROR_OUT_OF_MEMORY", r"the GPU has no 2\.5 MB of memory left .*End other programs"),
        ("cuMemHostAlloc", "CUDA_ERROR_OUT_OF_MEMORY", r"the host has no 2\.5 MB of memory left"),
        ("cuStreamSynchronize", "CUDA_ERROR_ILLEGAL_ADDRESS", r"stopped at a fault .*Start the program again"),
        ("cuLaunchKernel", "CUDA_ERROR_INVALID_VALUE", r"driver failed \(cuLaunchKernel: CUDA_ERROR_INVALID_VALUE, words\).*doctor"),
    ],
)
def test_errors_say_what_to_do(call: str, name: str, said: str) -> None:
    """With CUDA's own name for them."""
    error = driver_error(call, name, "words", 2_500_000)

    assert name in str(error)
    with pytest.raises(type(error), match=said):
        raise error
