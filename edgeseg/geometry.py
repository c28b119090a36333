"""Image <-> network coordinates: how a picture is fitted into a graph's input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgeseg.antialias import antialiased
from edgeseg.errors import SourceError
from edgeseg.opencv import opencv
from edgeseg.types import AnyArray, F32Array, SizeHW, U8Array

MEAN_BGR = (103.53, 116.28, 123.675)
"""ImageNet's mean colour, which normalisation turns into zeros: it fills what a picture leaves free of the input."""
BILINEAR, ANTIALIAS = "bilinear", "antialias"
RESAMPLES = (BILINEAR, ANTIALIAS)
"""Names that a bundle's ``input.resample`` may hold."""


@dataclass(frozen=True)
class Fit:
    """An image of ``image_hw`` laid into a network input of ``network_hw``, of which it covers ``covered_hw`` from the top left."""

    image_hw: SizeHW
    network_hw: SizeHW
    covered_hw: SizeHW
    resample: str = BILINEAR

    @classmethod
    def stretch(cls, image_hw: SizeHW, network_hw: SizeHW, resample: str = BILINEAR) -> Fit:
        """Fill the input, not keeping the aspect ratio (YOLACT: FastBaseTransform)."""
        return cls(image_hw, network_hw, network_hw, resample)

    @classmethod
    def same_shape(cls, image_hw: SizeHW, network_hw: SizeHW, resample: str = BILINEAR) -> Fit:
        """Fill the input with an image of its shape, as the originals resize it.

        Raises:
            SourceError: the image has another shape.
        """
        if not has_shape_of(image_hw, network_hw):
            (height, width), (rows, columns) = image_hw, network_hw
            raise SourceError(
                f"its {height}x{width} pixels (height x width) have another shape than the bundle's {rows}x{columns}. "
                f"Export the model with --frame {height}x{width}, or with --fit letterbox for frames of any shape."
            )
        return cls(image_hw, network_hw, network_hw, resample)

    @classmethod
    def letterbox(cls, image_hw: SizeHW, network_hw: SizeHW, resample: str = BILINEAR) -> Fit:
        """As `same_shape`; an image of another shape keeps its aspect ratio and leaves a part of the input free."""
        covered_hw = network_hw if has_shape_of(image_hw, network_hw) else _scaled_into(image_hw, network_hw)
        return cls(image_hw, network_hw, covered_hw, resample)

    def apply(self, pixels: U8Array, dtype: str) -> AnyArray:
        """The network input ``(1, h, w, 3)`` of ``dtype`` from a BGR image uint8 (H, W, 3).

        Half-pixel centres. ``bilinear`` knows no antialiasing; with ``float32`` it resizes the picture in float, as the
        original code bases do, with ``uint8`` in integers, which rounds by up to one grey level and is several times
        faster. ``antialias`` resizes in integers with either dtype.
        """
        resized = self._resized(pixels, dtype)
        if self.covered_hw == self.network_hw:
            return np.ascontiguousarray(resized, dtype)[None]
        network = np.empty((1, *self.network_hw, 3), dtype)
        network[:] = np.rint(MEAN_BGR) if dtype == "uint8" else MEAN_BGR
        network[0, : self.covered_hw[0], : self.covered_hw[1]] = resized
        return network

    def _resized(self, pixels: U8Array, dtype: str) -> AnyArray:
        if self.resample == ANTIALIAS:
            return antialiased(pixels, self.covered_hw)
        cv = opencv()
        source = pixels if dtype == "uint8" else pixels.astype(np.float32)
        return np.asarray(cv.resize(source, self.covered_hw[::-1], interpolation=cv.INTER_LINEAR))

    def clip_boxes(self, boxes: F32Array) -> F32Array:
        """Boxes float32 (N, 4), corners in pixels of the input, cut to what the picture covers of it."""
        height, width = self.covered_hw
        return np.clip(boxes, np.float32(0), np.array((width, height) * 2, np.float32))

    def boxes_to_image(self, boxes: F32Array) -> F32Array:
        """Boxes float32 (N, 4), corners in pixels of the input, in pixels of the image; not clipped."""
        ratio = np.array(self.image_hw, np.float32) / np.array(self.covered_hw, np.float32)
        return boxes * np.tile(ratio[::-1], 2)


def has_shape_of(image_hw: SizeHW, network_hw: SizeHW) -> bool:
    """Whether one factor brings an image to the size of an input, up to rounding.

    Side by side: ``size * factor``, rounded down (torchvision) or to the nearest (detectron2), has to be the input's side,
    so the factor lies in [(side - 0.5) / size, (side + 1) / size). The intervals of both sides must meet.
    """
    (height, width), (rows, columns) = image_hw, network_hw
    return (2 * rows - 1) * width < 2 * (columns + 1) * height and (2 * columns - 1) * height < 2 * (rows + 1) * width


def _scaled_into(image_hw: SizeHW, network_hw: SizeHW) -> SizeHW:
    """The largest size of the image's shape that lies inside the input; no side under one pixel."""
    (height, width), (rows, columns) = image_hw, network_hw
    if rows * width < columns * height:
        return rows, max((2 * width * rows + height) // (2 * height), 1)
    return max((2 * height * columns + width) // (2 * width), 1), columns


FITS: dict[str, Callable[[SizeHW, SizeHW, str], Fit]] = {
    "stretch": Fit.stretch,
    "same_shape": Fit.same_shape,
    "letterbox": Fit.letterbox,
}
"""Names that a bundle's ``input.fit`` may hold."""
