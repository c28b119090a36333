"""What a GPU says of itself, by a made-up NVML."""

from __future__ import annotations

import sys
import types

import pytest

from edgeseg.benchmark.nvml import VISIBLE, GpuReading, watched_gpu

NOT_SUPPORTED = "Not Supported"


class Nvml(types.ModuleType):
    """The package of `nvidia-ml-py` with the functions that are used; answers can be set, and some GPUs have none."""

    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU = 1, 0

    class NVMLError(Exception):
        """As the package raises it."""

    def __init__(self):
        super().__init__("pynvml")
        self.answers = {"clock": 1410, "degrees": 62, "milliwatts": 71500, "millijoules": 12_500_000, "reasons": 0x01 | 0x04 | 0x40}
        self.asked, self.open = [], 0

    def say(self, name):
        if self.answers.get(name) is None:
            raise self.NVMLError(NOT_SUPPORTED)
        return self.answers[name]

    def nvmlInit(self):  # noqa: N802
        self.say("clock")
        self.open += 1

    def nvmlShutdown(self):  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        self.asked.append(index)
        return "gpu"

    nvmlDeviceGetHandleByUUID = nvmlDeviceGetHandleByIndex  # noqa: N815

    def nvmlDeviceGetClockInfo(self, _handle, _kind):  # noqa: N802
        return self.say("clock")

    def nvmlDeviceGetTemperature(self, _handle, _kind):  # noqa: N802
        return self.say("degrees")

    def nvmlDeviceGetPowerUsage(self, _handle):  # noqa: N802
        return self.say("milliwatts")

    def nvmlDeviceGetTotalEnergyConsumption(self, _handle):  # noqa: N802
        return self.say("millijoules")

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, _handle):  # noqa: N802
        return self.say("reasons")


@pytest.fixture
def nvml(monkeypatch):
    """The package as if it were installed, with one GPU."""
    monkeypatch.delenv(VISIBLE, raising=False)
    module = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return module


def test_a_gpu_is_read_in_the_units_of_a_reading(nvml):
    """Megahertz, degrees, watts, joules; of the reasons those that cost speed, idling not. The library is closed afterwards."""
    with watched_gpu() as read:
        assert read() == GpuReading(1410, 62, 71.5, 12500, ("its power limit", "heat, by the hardware"))
        assert nvml.open == 1
    assert nvml.open == 0


def test_what_a_gpu_does_not_tell_is_none(nvml):
    """As on boards without a power sensor."""
    with watched_gpu() as read:
        nvml.answers = {"degrees": 50}

        assert read() == GpuReading(temperature_c=50)


@pytest.mark.parametrize(("visible", "asked"), [("", 0), ("2,0", 2), ("GPU-8f3", "GPU-8f3")])
def test_the_gpu_is_the_first_that_cuda_may_see(nvml, monkeypatch, visible, asked):
    """By its number or its id."""
    monkeypatch.setenv(VISIBLE, visible)

    with watched_gpu():
        assert nvml.asked == [asked]


def test_nothing_is_watched_without_package_driver_or_gpu(nvml, monkeypatch):
    """None of them is an error."""
    monkeypatch.setattr(nvml, "nvmlDeviceGetHandleByIndex", lambda _: nvml.say("gpu"))
    with watched_gpu() as read:
        assert read is None
    nvml.answers = {}
    with watched_gpu() as read:
        assert read is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with watched_gpu() as read:
        assert read is None
