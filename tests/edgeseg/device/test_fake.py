"""The fake device moves bytes as late as it may, and refuses what a real driver would not forgive."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from edgeseg.device import CaptureError, Stream
from edgeseg.device.fake import FakeCuda, FakeDevice
from edgeseg.errors import BackendError


@pytest.fixture
def device() -> Iterator[FakeDevice]:
    """A fake device that is active; nothing may be left on it."""
    opened = FakeDevice(total_bytes=1000)
    with opened, opened.active():
        yield opened


@pytest.fixture
def stream(device: FakeDevice) -> Iterator[Stream]:
    """A stream of it."""
    with device.stream() as opened:
        yield opened


def test_it_is_always_there() -> None:
    """No GPU, no package."""
    assert FakeCuda().probe().usable
    assert FakeCuda().open().driven_by == "numpy"


def test_bytes_arrive_when_the_host_waits_and_not_before(device: FakeDevice, stream: Stream) -> None:
    """A result that is read too early is not there yet."""
    with device.pinned(3) as host, device.pinned(3) as back, device.alloc(3) as first, device.alloc(3) as second:
        host.array[:] = [1, 2, 3]
        back.array[:] = 0
        device.h2d(first, host.array, stream)
        device.d2d(second, first, stream)
        device.d2h(back.array, second, stream)
        assert back.array.tolist() == [0, 0, 0]
        stream.synchronize()
        assert back.array.tolist() == [1, 2, 3]


def test_a_source_that_changes_too_early_is_copied_changed(device: FakeDevice, stream: Stream) -> None:
    """As page-locked memory that is written while a copy still needs it."""
    with device.pinned(1) as host, device.alloc(1) as buffer:
        host.array[:] = 1
        device.h2d(buffer, host.array, stream)
        host.array[:] = 2
        stream.synchronize()
        assert device.view(buffer.ptr).tolist() == [2]


def test_streams_are_not_ordered_unless_by_events(device: FakeDevice, stream: Stream) -> None:
    """Without a wait the other stream copies what was there before."""
    with device.stream() as other, device.event() as event, device.pinned(1) as host, device.pinned(1) as back, device.alloc(1) as buffer:
        host.array[:] = 7
        device.h2d(buffer, host.array, stream)
        event.record(stream)
        device.d2h(back.array, buffer, other)
        other.synchronize()
        assert back.array.tolist() != [7]
        other.wait(event)
        device.d2h(back.array, buffer, other)
        other.synchronize()
        assert back.array.tolist() == [7]


def test_an_event_that_nobody_recorded_is_no_wait(device: FakeDevice, stream: Stream) -> None:
    """As CUDA has it."""
    with device.event() as event:
        stream.wait(event)
        stream.synchronize()
        event.synchronize()


def test_events_keep_a_made_up_time(device: FakeDevice, stream: Stream) -> None:
    """A microsecond for each piece of work; an event that was not passed has no time."""
    with device.event() as start, device.event() as end, device.alloc(1) as buffer, device.pinned(1) as host:
        start.record(stream)
        device.h2d(buffer, host.array, stream)
        end.record(stream)
        with pytest.raises(BackendError, match="CUDA_ERROR_NOT_READY"):
            end.seconds_since(start)
        end.synchronize()
        assert end.seconds_since(start) == pytest.approx(2e-6)


def test_captured_work_is_done_at_each_launch(device: FakeDevice, stream: Stream) -> None:
    """Not when it is captured; and with what the source holds at the launch."""
    with device.pinned(1) as host, device.alloc(1) as buffer:
        host.array[:] = 0
        device.h2d(buffer, host.array, stream)
        stream.synchronize()
        with device.capture(stream, lambda: device.h2d(buffer, host.array, stream)) as recording:
            host.array[:] = 5
            stream.synchronize()
            assert device.view(buffer.ptr).tolist() == [0]
            for value in (6, 7):
                host.array[:] = value
                recording.launch(stream)
                stream.synchronize()
                assert device.view(buffer.ptr).tolist() == [value]
        with pytest.raises(BackendError, match="after close"):
            recording.launch(stream)


def test_waiting_cannot_be_captured(device: FakeDevice, stream: Stream) -> None:
    """The stream works on afterwards."""
    with pytest.raises(BackendError, match="CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"):
        device.capture(stream, stream.synchronize)
    stream.synchronize()


def test_a_device_without_capture_says_so(stream: Stream, device: FakeDevice) -> None:
    """As an old driver would."""
    device.can_capture = False
    with pytest.raises(CaptureError, match="cannot capture"):
        device.capture(stream, lambda: None)


def test_freed_memory_cannot_be_used(device: FakeDevice, stream: Stream) -> None:
    """Not even by work that was queued before it was freed; the error is the one that ends a real process."""
    with device.pinned(1) as host:
        buffer = device.alloc(1)
        device.h2d(buffer, host.array, stream)
        buffer.close()
        buffer.close()
        with pytest.raises(BackendError, match=r"CUDA_ERROR_ILLEGAL_ADDRESS.*Start the program again"):
            stream.synchronize()


def test_a_closed_stream_cannot_be_used(device: FakeDevice) -> None:
    """By its handle neither."""
    stream = device.stream()
    stream.close()
    with pytest.raises(BackendError, match="CUDA_ERROR_INVALID_HANDLE"):
        stream.synchronize()


def test_memory_has_an_end(device: FakeDevice) -> None:
    """The error says how much was asked for; what is freed can be had again."""
    with device.alloc(600):
        assert device.free_bytes() == 400
        with pytest.raises(BackendError, match=r"the GPU has no 0\.0 MB of memory left \(cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY"):
            device.alloc(401)
    device.alloc(1000).close()


def test_what_is_left_open_shows() -> None:
    """A device with something alive cannot be closed."""
    device = FakeDevice()
    with device.active():
        left = device.event()
    assert device.live == [left]
    with pytest.raises(BackendError, match="still alive"):
        device.close()


def test_all_but_closing_happens_inside_of_active(device: FakeDevice) -> None:
    """On a real GPU the calling thread has no context otherwise."""
    idle = FakeDevice()
    with idle.active():
        buffer = idle.alloc(1)
        stream = idle.stream()
    for work in (lambda: idle.alloc(1), idle.stream, idle.event, lambda: idle.pinned(1), stream.synchronize):
        with pytest.raises(BackendError, match="CUDA_ERROR_INVALID_CONTEXT"):
            work()
    buffer.close()
    stream.close()
    assert idle.live == []


def test_kernels_are_numpy_functions(stream: Stream) -> None:
    """Called with memory and numbers when the stream comes to them."""

    def add(to: np.ndarray, value: int) -> None:
        to += np.uint8(value)

    device = FakeDevice(kernels={"add": add})
    with (
        device.active(),
        device.stream() as own,
        device.compile("void add()", "add") as kernel,
        device.alloc(2) as buffer,
        device.pinned(2) as host,
    ):
        host.array[:] = [1, 2]
        device.h2d(buffer, host.array, own)
        kernel.launch(own, (1, 1), (2, 1), (buffer, 3))
        own.synchronize()
        assert device.view(buffer.ptr).tolist() == [4, 5]
        with pytest.raises(BackendError, match="no twin"):
            device.compile("void sub()", "sub")
