"""Devices that do not answer, with calls that hang until a test lets them go."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edgeseg.errors import HangError, SourceError
from edgeseg.sources.guarded import STUCK_MAX, GuardedCapture

PICTURE = np.zeros((2, 2, 3), np.uint8)
LONG_S, NEVER_S = 30.0, 0.0


class Device:
    """Hangs in what it is told to, until ``release``."""

    name = "stubborn camera"
    hangs_in: frozenset[str] = frozenset()
    release = threading.Event()
    closed = threading.Semaphore(0)

    def open(self):
        return self._do("open", 30.0)

    def grab(self):
        return self._do("grab", True)

    def read(self):
        return PICTURE

    def close(self):
        Device.closed.release()

    def _do(self, what, answer):
        if what in Device.hangs_in:
            Device.release.wait(LONG_S)
        return answer


@pytest.fixture(autouse=True)
def device():
    """A device that answers."""
    Device.hangs_in, Device.release, Device.closed = frozenset(), threading.Event(), threading.Semaphore(0)
    yield Device
    Device.release.set()


def test_a_device_that_answers_is_passed_through():
    """Frame rate, pictures and errors come through; closing frees the device and its thread."""
    capture = GuardedCapture(Device, LONG_S, LONG_S)

    assert capture.open() == 30.0
    assert capture.grab()
    assert capture.read() is PICTURE
    capture.close()
    capture.close()
    assert Device.closed.acquire(timeout=LONG_S)
    assert not Device.closed.acquire(blocking=False)
    assert (capture.grab(), capture.read()) == (False, None)


def test_an_error_comes_through():
    """What a device raises when it is opened is raised, and the device and its thread are freed."""

    class Absent(Device):
        def open(self):
            raise SourceError("absent")

    with pytest.raises(SourceError, match="absent"):
        GuardedCapture(Absent, LONG_S, LONG_S).open()
    assert Device.closed.acquire(timeout=LONG_S)


def test_a_device_that_hangs_while_it_is_opened_is_an_error(device):
    """The opening ends with a message; when the call comes back after all, the device is closed."""
    device.hangs_in = frozenset({"open"})
    capture = GuardedCapture(Device, NEVER_S, LONG_S)
    with pytest.raises(SourceError, match="stubborn camera did not answer in 0 s"):
        capture.open()
    device.release.set()

    assert device.closed.acquire(timeout=LONG_S)


def test_a_picture_that_never_comes_is_a_lost_connection(device):
    """Waiting for it ends, and the device can be opened anew."""
    device.hangs_in = frozenset({"grab"})
    capture = GuardedCapture(Device, LONG_S, NEVER_S)
    capture.open()

    assert not capture.grab()
    device.hangs_in = frozenset()
    assert capture.open() == 30.0
    capture.close()


def test_devices_that_hang_are_not_piled_up(device):
    """After some that never answer it ends with an error that no live source tries to overcome; those that come back count no more."""
    device.hangs_in = frozenset({"open"})
    capture = GuardedCapture(Device, NEVER_S, LONG_S)
    for _ in range(STUCK_MAX):
        with pytest.raises(SourceError, match="did not answer in"):
            capture.open()

    with pytest.raises(HangError, match=r"did not answer 10 times\. Run edgeseg again"):
        capture.open()
    device.hangs_in = frozenset()
    device.release.set()
    for _ in range(STUCK_MAX):
        assert device.closed.acquire(timeout=LONG_S)
    for worker in capture._stuck:
        worker.end(LONG_S)
    capture._open_s = LONG_S
    assert capture.open() == 30.0
    capture.close()
