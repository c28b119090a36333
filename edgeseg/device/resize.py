"""Resizing on the device, bit-equal to OpenCV's ``INTER_LINEAR`` on uint8, with the numpy twin that is its reference.

OpenCV computes in fixed point: weights of 11 bits that sum to 2048, rows of products first, then columns of rows, with a shift
in between. All floating point is in the tables of `taps`, which the host makes; the kernel has integers alone, so that
no compiler can round otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

import numpy as np

from edgeseg.device.base import Buffer, Device, Resource, Stream
from edgeseg.types import I32Array, SizeHW, U8Array

FUNCTION = "resize_bilinear"
SOURCE = """
extern "C" __global__ void resize_bilinear(
    const unsigned char *from, unsigned char *to, const int4 *rows, const int4 *columns, int pitch, int height, int width)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x;
    int y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    int4 row = rows[y], column = columns[x];
    const unsigned char *upper = from + (long long)row.x * pitch, *lower = from + (long long)row.y * pitch;
    for (int channel = 0; channel < 3; ++channel) {
        int left = 3 * column.x + channel, right = 3 * column.y + channel;
        int above = upper[left] * column.z + upper[right] * column.w;
        int below = lower[left] * column.z + lower[right] * column.w;
        to[3 * (y * width + x) + channel] = (((row.z * (above >> 4)) >> 16) + ((row.w * (below >> 4)) >> 16) + 2) >> 2;
    }
}
"""
_ONE = 2048
_BLOCK = (32, 8)


def taps(source: int, target: int, *, clamp: bool) -> I32Array:
    """Where the pixels of one axis come from: int32 (target, 4) of first index, second index, and the weights of the two, of 2048.

    Args:
        source: pixels before.
        target: pixels after.
        clamp: whether beyond the outermost pixel centres the nearest pixel has all of the weight, as along rows; else two
            equal pixels share it, as along columns. With the shift between, the two can differ by a grey level.
    """
    # As OpenCV writes it: the scale is the inverse of a quotient, and positions are rounded to float32.
    position = ((np.arange(target) + 0.5) * (1.0 / (target / source)) - 0.5).astype(np.float32)
    first = np.floor(position)
    share = position - first
    if clamp:
        share[(first < 0) | (first >= source - 1)] = 0
    table = np.stack([first, first + 1, np.rint((np.float32(1) - share) * _ONE), np.rint(share * _ONE)], axis=1)
    table[:, :2] = table[:, :2].clip(0, source - 1)
    return np.ascontiguousarray(table, np.int32)


def resize(pixels: U8Array, size_hw: SizeHW) -> U8Array:
    """The numpy twin: uint8 (H, W, 3) -> uint8 (h, w, 3), as ``cv2.resize(pixels, (w, h))`` gives it."""
    tables = (taps(before, after, clamp=clamp) for before, after, clamp in zip(pixels.shape, size_hw, (False, True), strict=False))
    return interpolate(pixels, *tables)


def interpolate(pixels: U8Array, rows: I32Array, columns: I32Array) -> U8Array:
    """What the kernel computes: uint8 (h, w, 3) from uint8 (H, W, 3) and the tables of `taps`, int32 (h, 4) and (w, 4)."""
    left, right, left_weight, right_weight = (column[None, :, None] for column in columns.T)
    upper, lower, upper_weight, lower_weight = (row[:, None, None] for row in rows.T)
    products = pixels[:, left[0, :, 0]] * left_weight + pixels[:, right[0, :, 0]] * right_weight
    above, below = products[upper[:, 0, 0]] >> 4, products[lower[:, 0, 0]] >> 4
    mixed = ((upper_weight * above) >> 16) + ((lower_weight * below) >> 16)
    return np.asarray((mixed + 2) >> 2, np.uint8)


def twin(source: U8Array, to: U8Array, rows: U8Array, columns: U8Array, pitch: int, height: int, width: int) -> None:
    """`interpolate` with the kernel's arguments, all memory as uint8 (bytes,): for `edgeseg.device.fake.FakeDevice`."""
    tables = (table.view(np.int32).reshape(-1, 4) for table in (rows, columns))
    to.reshape(height, width, 3)[...] = interpolate(source.reshape(-1, pitch // 3, 3), *tables)


class DeviceResize(Resource):
    """Resizes pictures of one size to another on the device. Made inside of ``device.active()``.

    Raises:
        BackendError: the compiler is missing, or there is no memory.
    """

    def __init__(self, device: Device, image_hw: SizeHW, size_hw: SizeHW) -> None:
        self.image_hw, self.size_hw = image_hw, size_hw
        with ExitStack() as held:
            self._kernel = held.enter_context(device.compile(SOURCE, FUNCTION))
            tables = [taps(image_hw[axis], size_hw[axis], clamp=axis == 1) for axis in (0, 1)]
            self._tables = tuple(held.enter_context(device.alloc(table.nbytes)) for table in tables)
            _upload(device, zip(self._tables, tables, strict=True))
            self._held = held.pop_all()

    def __enter__(self) -> DeviceResize:
        return self

    def enqueue(self, source: Buffer, to: Buffer, stream: Stream) -> None:
        """Queue one picture: ``source`` holds uint8 (H, W, 3), ``to`` gets uint8 (h, w, 3)."""
        height, width = self.size_hw
        grid = (-(-width // _BLOCK[0]), -(-height // _BLOCK[1]))
        self._kernel.launch(stream, grid, _BLOCK, (source, to, *self._tables, 3 * self.image_hw[1], height, width))

    def _free(self) -> None:
        self._held.close()


def _upload(device: Device, tables: Iterable[tuple[Buffer, I32Array]]) -> None:
    with ExitStack() as held:
        stream = held.enter_context(device.stream())
        for buffer, table in tables:
            host = held.enter_context(device.pinned(table.nbytes))
            host.array[:] = table.reshape(-1).view(np.uint8)
            device.h2d(buffer, host.array, stream)
        stream.synchronize()
