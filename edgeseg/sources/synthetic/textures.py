"""Texture as two parts: a field of 0..1 over the pixels and a ramp of 256 colours that gives it its look."""

from __future__ import annotations

import colorsys
import math

import numpy as np

from edgeseg.opencv import opencv
from edgeseg.types import F32Array, SizeHW, U8Array

Colour = tuple[float, float, float]
"""Hue in turns, saturation and value, each 0..1."""


def noise(rng: np.random.Generator, size_hw: SizeHW, cell_hw: tuple[float, float], octaves: int = 1) -> F32Array:
    """Smooth noise float32 (H, W), about 0..1; ``cell_hw`` is the size of its coarsest blobs in pixels."""
    cv2 = opencv()
    height, width = size_hw
    total = np.zeros(size_hw, np.float32)
    weights = [0.5**octave for octave in range(octaves)]
    for octave, weight in enumerate(weights):
        cell_h, cell_w = (max(cell / 2**octave, 1.0) for cell in cell_hw)
        rows, columns = math.ceil(height / cell_h) + 1, math.ceil(width / cell_w) + 1
        # Whole cells are drawn and the rest is cut off, so that cells have the same size whatever the picture's side.
        drawn = (math.ceil(columns * cell_w), math.ceil(rows * cell_h))
        field = cv2.resize(rng.random((rows, columns), np.float32), drawn, interpolation=cv2.INTER_CUBIC)
        total = cv2.scaleAdd(np.ascontiguousarray(field[:height, :width]), weight / sum(weights), total)
    return total


def ramp(*colours: Colour) -> U8Array:
    """uint8 (256, 3) BGR that runs evenly through the given colours."""
    stops = np.array([_bgr(colour) for colour in colours])
    at = np.linspace(0, len(colours) - 1, 256)
    channels = [np.interp(at, np.arange(len(colours)), stops[:, channel]) for channel in range(3)]
    return np.asarray(np.rint(255 * np.stack(channels, axis=1)), np.uint8)


def middle(first: Colour, last: Colour) -> U8Array:
    """uint8 (3,) BGR: entry 128 of the ramp between two colours, without the ramp."""
    start, end = np.array(_bgr(first)), np.array(_bgr(last))
    return np.asarray(np.rint(255 * (start + (end - start) * (128 / 255))), np.uint8)


def _bgr(colour: Colour) -> tuple[float, float, float]:
    """Blue, green, red in 0..1; what is outside the range of hue, saturation and value is wrapped or clipped."""
    hue, saturation, value = colour
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))
    return blue, green, red


def lab(bgr: U8Array) -> F32Array:
    """CIE L*a*b* float32 (..., 3) of BGR colours uint8 (..., 3): distances in it are contrasts as people see them."""
    flat = bgr.reshape(1, -1, 3).astype(np.float32) / 255
    found: F32Array = opencv().cvtColor(flat, opencv().COLOR_BGR2LAB).reshape(bgr.shape)
    return found
