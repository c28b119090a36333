"""What the GPU tests run on, and what happens where it is missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeseg.backends.tensorrt import TensorRt
from edgeseg.device import DRIVERS, Device, Stream, choose_device

REQUIRED = os.environ.get("EDGESEG_REQUIRE_GPU", "")
"""See README.md here."""


def missing(why: str, *, required: bool) -> None:
    """End the test: as failed if it had to be there, else as skipped."""
    if required:
        pytest.fail(f"EDGESEG_REQUIRE_GPU={REQUIRED}, but {why}", pytrace=False)
    pytest.skip(why)


@pytest.fixture(params=DRIVERS)
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    """The GPU, active, through each package that can use it."""
    probe = DRIVERS[request.param].probe()
    if not probe.usable:
        missing(f"{request.param}: {probe.detail} ({probe.remedy})", required=bool(REQUIRED) and choose_device()[0] is None)
    with DRIVERS[request.param].open() as opened, opened.active():
        yield opened


@pytest.fixture
def stream(device: Device) -> Iterator[Stream]:
    """A stream of the device."""
    with device.stream() as opened:
        yield opened


@pytest.fixture
def tensorrt(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> TensorRt:
    """The backend as a user has it, with a cache of its own that all tests of this run share."""
    probe = TensorRt().probe()
    if not probe.usable:
        missing(f"tensorrt: {probe.detail} ({probe.remedy})", required=REQUIRED == "1" or (bool(REQUIRED) and choose_device()[0] is None))
    cache = Path(tmp_path_factory.getbasetemp()) / "engines"
    monkeypatch.setenv("EDGESEG_CACHE", str(cache))
    return TensorRt()
