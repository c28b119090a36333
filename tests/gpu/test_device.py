"""The device seam on a real GPU, through each package that drives it."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import ExitStack

import numpy as np
import pytest

from edgeseg.device import DRIVERS, Buffer, CaptureError, Device, Stream
from edgeseg.device.resize import DeviceResize, resize
from edgeseg.errors import BackendError
from edgeseg.types import SizeHW, U8Array

MB = 1 << 20
ADD = """
extern "C" __global__ void add(unsigned char *to, int count, int value) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) to[i] = (unsigned char)(to[i] + value);
}
"""


def _bytes(count: int, seed: int = 0) -> U8Array:
    return np.random.default_rng(seed).integers(0, 256, count, dtype=np.uint8)


def test_it_says_what_it_is(device: Device) -> None:
    """Name, compute capability and package."""
    assert device.name
    assert device.compute_capability >= (5, 0)
    assert device.driven_by.partition(" ")[2]
    assert device.free_bytes() > 0


def test_bytes_come_back_as_they_went(device: Device, stream: Stream) -> None:
    """Host to device, device to device and back, of sizes that are no round numbers."""
    for count in (1, 3, 4097, 5 * MB + 1):
        sent = _bytes(count)
        with device.pinned(count) as host, device.pinned(count) as back, device.alloc(count) as first, device.alloc(count) as second:
            host.array[:] = sent
            back.array[:] = 0
            device.h2d(first, host.array, stream)
            device.d2d(second, first, stream)
            device.d2h(back.array, second, stream)
            stream.synchronize()
            np.testing.assert_array_equal(back.array, sent)


def test_events_keep_the_time(device: Device, stream: Stream) -> None:
    """More work takes longer, and the time is in seconds: no GPU copies more than 100 TB/s, nor less than 100 MB/s."""
    with device.alloc(256 * MB) as first, device.alloc(256 * MB) as second, device.event() as start, device.event() as end:
        device.d2d(second, first, stream)
        start.record(stream)
        for _ in range(4):
            device.d2d(second, first, stream)
        end.record(stream)
        end.synchronize()
        assert 1024 * MB / 100e12 < end.seconds_since(start) < 1024 * MB / 100e6


def test_a_stream_waits_for_an_event_of_another(device: Device, stream: Stream) -> None:
    """What is queued behind the wait sees what was queued before the event."""
    count = 64 * MB
    with ExitStack() as stack:
        other, event, host, back, first, second = (
            stack.enter_context(made)
            for made in (device.stream(), device.event(), device.pinned(count), device.pinned(16), device.alloc(count), device.alloc(count))
        )
        for value in range(1, 6):
            host.array[:] = value
            device.h2d(first, host.array, stream)
            device.d2d(second, first, stream)
            event.record(stream)
            other.wait(event)
            device.d2h(back.array, second, other)
            other.synchronize()
            assert back.array.tolist() == [value] * 16


def test_captured_work_is_done_anew_at_each_launch(device: Device, stream: Stream) -> None:
    """Capturing does nothing; each replay copies what the source holds by then."""
    with device.pinned(4) as host, device.pinned(4) as back, device.alloc(4) as buffer:
        back.array[:] = 0

        def work() -> None:
            device.h2d(buffer, host.array, stream)
            device.d2h(back.array, buffer, stream)

        with device.capture(stream, work) as recording:
            stream.synchronize()
            assert back.array.tolist() == [0] * 4
            for value in (1, 2, 3):
                host.array[:] = value
                recording.launch(stream)
                stream.synchronize()
                assert back.array.tolist() == [value] * 4


def test_work_that_cannot_be_captured_leaves_the_stream_usable(device: Device, stream: Stream) -> None:
    """Waiting inside of a capture is what the driver forbids; afterwards the stream works as before."""
    with pytest.raises((CaptureError, BackendError)):
        device.capture(stream, stream.synchronize)
    with device.pinned(4) as host, device.pinned(4) as back, device.alloc(4) as buffer:
        host.array[:], back.array[:] = 7, 0
        device.h2d(buffer, host.array, stream)
        device.d2h(back.array, buffer, stream)
        stream.synchronize()
        assert back.array.tolist() == [7] * 4


def test_a_kernel_runs(device: Device, stream: Stream) -> None:
    """Compiled from source, with a buffer and numbers as arguments."""
    count = 1000
    sent = _bytes(count)
    with device.compile(ADD, "add") as kernel, device.pinned(count) as host, device.alloc(count) as buffer:
        host.array[:] = sent
        device.h2d(buffer, host.array, stream)
        kernel.launch(stream, (4, 1), (256, 1), (buffer, count, 3))
        device.d2h(host.array, buffer, stream)
        stream.synchronize()
        np.testing.assert_array_equal(host.array, sent + np.uint8(3))


@pytest.mark.parametrize(("before", "after"), [((1080, 1920), (550, 550)), ((48, 64), (133, 40)), ((7, 9), (100, 3)), ((1, 1), (5, 4))])
def test_the_device_resizes_as_its_twin(device: Device, stream: Stream, before: SizeHW, after: SizeHW) -> None:
    """To the last bit, up and down."""
    sent = _bytes(before[0] * before[1] * 3)
    with ExitStack() as stack:
        resizer = stack.enter_context(DeviceResize(device, before, after))
        host, back = (stack.enter_context(device.pinned(count)) for count in (sent.nbytes, after[0] * after[1] * 3))
        source, to = (stack.enter_context(device.alloc(memory.array.nbytes)) for memory in (host, back))
        host.array[:] = sent
        device.h2d(source, host.array, stream)
        resizer.enqueue(source, to, stream)
        device.d2h(back.array, to, stream)
        stream.synchronize()
        np.testing.assert_array_equal(back.array.reshape(*after, 3), resize(sent.reshape(*before, 3), after))


def test_source_that_does_not_compile_is_an_error(device: Device) -> None:
    """The compiler's words are in it."""
    with pytest.raises(BackendError, match="nonsense"):
        device.compile('extern "C" __global__ void add() { nonsense; }', "add")


def test_too_much_memory_is_an_error_that_says_how_much(device: Device, stream: Stream) -> None:
    """CUDA's name for it, the megabytes, and what to do; the device goes on working."""
    said = r"no 1000000000\.0 MB of memory left \(cuMemAlloc.*CUDA_ERROR_OUT_OF_MEMORY.*End other programs"
    with pytest.raises(BackendError, match=said):
        device.alloc(10**15)
    with device.alloc(16):
        stream.synchronize()


def test_other_errors_carry_the_name_that_cuda_gives_them(device: Device) -> None:
    """Nothing cannot be allocated."""
    with pytest.raises(BackendError, match="CUDA_ERROR_INVALID_VALUE"):
        device.alloc(0)


def test_nothing_leaks(device: Device) -> None:
    """A thousand rounds of everything leave the device's memory as it was after the first hundred."""

    def rounds(count: int) -> int:
        for _ in range(count):
            with device.stream() as own, device.event() as event, device.alloc(4 * MB) as buffer, device.pinned(MB) as host:
                device.h2d(buffer, host.array, own)
                event.record(own)
                event.synchronize()
        return device.free_bytes()

    assert abs(rounds(100) - rounds(1000)) < 16 * MB


def test_another_thread_may_use_and_free(device: Device, stream: Stream) -> None:
    """Key frames may be inferred on a thread of their own, and memory dies wherever its last reference does."""
    failures: list[BaseException] = []
    buffer, host = device.alloc(16), device.pinned(16)

    def work() -> None:
        try:
            with device.active():
                device.h2d(buffer, host.array, stream)
                stream.synchronize()
            buffer.close()
            host.close()
        except BaseException as error:  # noqa: BLE001  told to the main thread
            failures.append(error)

    before = device.free_bytes()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert failures == []
    assert device.free_bytes() >= before


def test_it_shares_the_context_with_torch(device: Device, stream: Stream) -> None:
    """Memory of torch is readable by its address, and torch works before, between and after."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    tensor = torch.arange(16, dtype=torch.uint8, device="cuda")
    torch.cuda.synchronize()
    with device.pinned(16) as back, device.alloc(16) as buffer:
        device.d2d(buffer, Foreign(tensor.data_ptr(), 16), stream)
        device.d2h(back.array, buffer, stream)
        stream.synchronize()
        assert back.array.tolist() == list(range(16))
    assert int(tensor.sum()) == 120


class Foreign(Buffer):
    """Memory that something else owns."""

    def _free(self) -> None:
        """Not ours to free."""


LEFT_OPEN = """
import sys
from edgeseg.device import DRIVERS
device = DRIVERS[sys.argv[1]].open()
with device.active():
    left = [device.stream(), device.event(), device.alloc(1 << 20), device.pinned(1 << 20)]
print("end")
"""


def test_a_process_may_end_with_everything_open(device: Device) -> None:
    """No abort, no complaint on the terminal."""
    name = next(name for name, driver in DRIVERS.items() if type(driver).__module__ == type(device).__module__)
    ended = subprocess.run([sys.executable, "-c", LEFT_OPEN, name], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "end\n", "")
