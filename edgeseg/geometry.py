"""Image <-> network coordinates: how a picture is fitted into a graph's input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.opencv import opencv
from edgeseg.types import AnyArray, SizeHW, U8Array


@dataclass(frozen=True)
class Fit:
    """An image of ``image_hw`` laid into a network input of ``network_hw``, which it fills whole."""

    image_hw: SizeHW
    network_hw: SizeHW

    @classmethod
    def stretch(cls, image_hw: SizeHW, network_hw: SizeHW) -> Fit:
        """Fill the input, not keeping the aspect ratio (YOLACT: FastBaseTransform)."""
        return cls(image_hw, network_hw)

    def apply(self, pixels: U8Array, dtype: str) -> AnyArray:
        """The network input ``(1, h, w, 3)`` of ``dtype`` from a BGR image uint8 (H, W, 3).

        Bilinear, half-pixel centres, no antialiasing. With ``float32`` the picture is resized in float, as the original
        code bases do; with ``uint8`` in integers, which rounds by up to one grey level and is several times faster.
        """
        source = pixels if dtype == "uint8" else pixels.astype(np.float32)
        height, width = self.network_hw
        resized = opencv().resize(source, (width, height), interpolation=opencv().INTER_LINEAR)
        return np.ascontiguousarray(resized)[None]


FITS = {"stretch": Fit.stretch}
"""Names that a bundle's ``input.fit`` may hold."""
