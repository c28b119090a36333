"""Where a frame is best resized: on the host, or on the device that needs it. Paired, on a GPU machine.

python -m benchmarks.device_prepare --out FILE.json

``host``: OpenCV resizes the frame into page-locked memory, and the small picture is copied to the device. ``device``: the whole
frame is copied into page-locked memory and to the device, and a kernel resizes it there. Both end when the device has the input.
``device, decoded there``: as ``device``, of a frame that a decoder has already written into page-locked memory.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeseg.device import DRIVERS, Device, Driver
from edgeseg.device.resize import DeviceResize, resize
from edgeseg.types import SizeHW

from .conditions import conditions
from .gpu import caught, microseconds
from .paired import measure, ratio

FRAMES: dict[str, SizeHW] = {"1080p": (1080, 1920), "720p": (720, 1280)}
SIDE = 550
ROUNDS, WARM_UP = 400, 40


def compare(driver: Driver) -> dict[str, Any]:
    """Both ways for each size of frame, through one package."""
    probe = driver.probe()
    if not probe.usable:
        return {"no_gpu": f"{probe.detail} ({probe.remedy})"}
    with driver.open() as device, device.active():
        return {"by": device.driven_by, **{name: caught(lambda size=size: _compare(device, size)) for name, size in FRAMES.items()}}


def _compare(device: Device, image_hw: SizeHW) -> dict[str, Any]:
    frame = np.random.default_rng(0).integers(0, 256, (*image_hw, 3), dtype=np.uint8)
    small_hw = (SIDE, SIDE)
    nbytes = SIDE * SIDE * 3
    with ExitStack() as held:
        stream = held.enter_context(device.stream())
        begin, end = (held.enter_context(device.event()) for _ in range(2))
        whole, small, back = (held.enter_context(device.pinned(count)) for count in (frame.nbytes, nbytes, nbytes))
        source, target = (held.enter_context(device.alloc(count)) for count in (frame.nbytes, nbytes))
        resizer = held.enter_context(DeviceResize(device, image_hw, small_hw))
        place = small.array.reshape(*small_hw, 3)

        def on_host() -> Mapping[str, float]:
            cv2.resize(frame, small_hw[::-1], dst=place, interpolation=cv2.INTER_LINEAR)
            device.h2d(target, small.array, stream)
            stream.synchronize()
            return {}

        def on_device() -> Mapping[str, float]:
            whole.array[:] = frame.reshape(-1)
            return decoded_there()

        def decoded_there() -> Mapping[str, float]:
            device.h2d(source, whole.array, stream)
            begin.record(stream)
            resizer.enqueue(source, target, stream)
            end.record(stream)
            stream.synchronize()
            return {"kernel": end.seconds_since(begin)}

        agree = {name: _given(device, work, (target, back, stream)) for name, work in (("host", on_host), ("device", on_device))}
        contenders = {"host": on_host, "device": on_device, "device, decoded there": decoded_there}
        found = measure(contenders, ROUNDS, WARM_UP)
        threads = cv2.getNumThreads()
    timings = {
        name: microseconds(timing.values_s) | {part: microseconds(values) for part, values in timing.parts_s.items()}
        for name, timing in found.items()
    }
    wanted = resize(frame, small_hw)
    return {
        "equal_to_twin": {name: bool(np.array_equal(picture, wanted)) for name, picture in agree.items()},
        "opencv_threads": threads,
        **timings,
        "host_over_device": ratio(found["host"], found["device"]),
        "host_over_decoded_there": ratio(found["host"], found["device, decoded there"]),
    }


def _given(device: Device, work: Callable[[], object], places: Any) -> Any:
    """What the device has as input after the work."""
    target, back, stream = places
    back.array[:] = 0
    work()
    device.d2h(back.array, target, stream)
    stream.synchronize()
    return back.array.reshape(SIDE, SIDE, 3).copy()


def main() -> None:
    """Measure with each package and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    found = {"host": conditions(), **{name: caught(lambda driver=driver: compare(driver)) for name, driver in DRIVERS.items()}}
    args.out.write_text(json.dumps(found, indent=1) + "\n")
    print(f"prepare: {args.out}")


if __name__ == "__main__":
    main()
