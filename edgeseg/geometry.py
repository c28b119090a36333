"""Image <-> network coordinates: how a picture is fitted into a graph's input, and how boxes come back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.opencv import opencv
from edgeseg.types import AnyArray, F32Array, SizeHW, U8Array


@dataclass(frozen=True)
class Fit:
    """An image of ``image_hw`` laid into a network input of ``network_hw``.

    The picture is resized to ``placed_hw`` (bilinear, half-pixel centres, no antialiasing) and put in the top left
    corner; what is left over is zero. Every kind of fit is such a placement: ``stretch`` fills the input whole.
    """

    image_hw: SizeHW
    network_hw: SizeHW
    placed_hw: SizeHW

    @classmethod
    def stretch(cls, image_hw: SizeHW, network_hw: SizeHW) -> Fit:
        """Fill the input, not keeping the aspect ratio (YOLACT: FastBaseTransform)."""
        return cls(image_hw, network_hw, network_hw)

    def apply(self, pixels: U8Array, dtype: str) -> AnyArray:
        """The network input ``(1, h, w, 3)`` of ``dtype`` from a BGR image uint8 (H, W, 3).

        With ``float32`` the picture is resized in float, as the original code bases do; with ``uint8`` in integers,
        which rounds by up to one grey level and is several times faster.
        """
        source = pixels if dtype == "uint8" else pixels.astype(np.float32)
        height, width = self.placed_hw
        resized = opencv().resize(source, (width, height), interpolation=opencv().INTER_LINEAR)
        if self.placed_hw == self.network_hw:
            return np.ascontiguousarray(resized)[None]
        canvas = np.zeros((1, *self.network_hw, 3), source.dtype)
        canvas[0, :height, :width] = resized
        return canvas

    def boxes_to_image(self, boxes: F32Array) -> F32Array:
        """Boxes (N, 4) from 0..1 of the network input to image pixels; not clipped."""
        return np.asarray(boxes, np.float32) * self._relative_to_pixels()

    def _relative_to_pixels(self) -> F32Array:
        scale_x = self.network_hw[1] / self.placed_hw[1] * self.image_hw[1]
        scale_y = self.network_hw[0] / self.placed_hw[0] * self.image_hw[0]
        return np.array([scale_x, scale_y, scale_x, scale_y], np.float32)


FITS = {"stretch": Fit.stretch}
"""Names that a bundle's ``input.fit`` may hold."""
