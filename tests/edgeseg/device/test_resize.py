"""Resizing as OpenCV does it, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from edgeseg.device.fake import FakeDevice
from edgeseg.device.resize import FUNCTION, DeviceResize, resize, taps, twin
from edgeseg.types import SizeHW, U8Array


def _picture(size_hw: SizeHW, seed: int = 0) -> U8Array:
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), dtype=np.uint8)


def _sizes() -> Iterator[tuple[SizeHW, SizeHW]]:
    """Up and down, both at once, the same, halves and doubles, and sides of one pixel."""
    random = np.random.default_rng(0)
    for longest in (8, 40, 300):
        for _ in range(40):
            before_h, before_w, after_h, after_w = (int(side) for side in random.integers(1, longest, 4))
            yield (before_h, before_w), (after_h, after_w)
    yield from (((60, 44), size) for size in ((30, 22), (120, 88), (60, 44), (15, 11), (60, 22)))
    yield from (((1, 1), (7, 5)), ((7, 5), (1, 1)), ((1, 9), (4, 3)), ((9, 1), (3, 4)))


def test_every_pixel_is_that_of_opencv() -> None:
    """On sizes of every kind."""
    for before, after in _sizes():
        picture = _picture(before)
        wanted = cv2.resize(picture, after[::-1], interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(resize(picture, after), wanted, err_msg=f"{before} -> {after}")


@pytest.mark.parametrize("side", [320, 550])
@pytest.mark.parametrize("image_hw", [(1080, 1920), (720, 1280), (480, 640)])
def test_pictures_of_cameras_too(image_hw: SizeHW, side: int) -> None:
    """To the sides of networks."""
    picture = _picture(image_hw)

    np.testing.assert_array_equal(resize(picture, (side, side)), cv2.resize(picture, (side, side)))


def test_extremes_neither_wrap_nor_fade() -> None:
    """All black stays black and all white stays white."""
    for level in (0, 255):
        assert np.unique(resize(np.full((37, 41, 3), level, np.uint8), (23, 64))).tolist() == [level]


def test_weights_are_of_one_whole() -> None:
    """The two of a pixel sum to 2048, and the indices lie in the picture."""
    for before, after in ((1080, 550), (3, 17), (1, 5)):
        for clamp in (True, False):
            table = taps(before, after, clamp=clamp)
            assert table.shape == (after, 4)
            assert set(table[:, 2:].sum(axis=1).tolist()) == {2048}
            assert (0 <= table[:, :2].min(), table[:, :2].max() < before) == (True, True)


@pytest.mark.parametrize(("before", "after"), [((48, 64), (33, 40)), ((20, 30), (55, 55))])
def test_the_device_resizes_as_the_twin(before: SizeHW, after: SizeHW) -> None:
    """Tables, arguments and order of work are those of the kernel; nothing is left on the device."""
    device = FakeDevice(kernels={FUNCTION: twin})
    picture = _picture(before)
    with (
        device.active(),
        DeviceResize(device, before, after) as resizer,
        device.stream() as stream,
        device.pinned(picture.nbytes) as host,
        device.pinned(after[0] * after[1] * 3) as back,
        device.alloc(picture.nbytes) as source,
        device.alloc(back.array.nbytes) as to,
    ):
        host.array[:] = picture.reshape(-1)
        device.h2d(source, host.array, stream)
        resizer.enqueue(source, to, stream)
        device.d2h(back.array, to, stream)
        stream.synchronize()
        np.testing.assert_array_equal(back.array.reshape(*after, 3), resize(picture, after))
    assert device.live == []
