"""The looks of the objects: a textured, shaded shape with a soft edge and a shadow, drawn once per scene."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgeseg.opencv import opencv
from edgeseg.sources.synthetic.motion import similarity
from edgeseg.sources.synthetic.shapes import silhouette
from edgeseg.sources.synthetic.textures import Colour, lab, middle, noise, ramp
from edgeseg.types import F32Array, F64Array, U8Array

_MIN_CONTRAST = 42.0
"""Wanted distance in L*a*b* between an object and all that may be next to it."""


@dataclass(frozen=True, repr=False)
class Sprite:
    """One object's picture in its own axes."""

    pixels: U8Array
    """uint8 (s, s, 3) BGR; the texture goes on outside the shape, so that interpolation at the edge stays clean."""
    alpha: F32Array
    """float32 (s, s) in 0..1."""
    shadow: F32Array
    """float32 (s, s) in 0..1: how much the surroundings are darkened."""
    to_unit: F64Array
    """float64 (3, 3): sprite pixels to the unit circle."""
    area: float
    """Area of the shape in sprite pixels."""

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: str, radius_px: float, colours: U8Array) -> Sprite:
        """A sprite of about ``radius_px`` in the given two colours uint8 (256, 3)."""
        radius = max(radius_px, 4.0)
        half = math.ceil(1.3 * radius) + 2
        side = 2 * half + 1
        alpha = _fill(silhouette(shape, rng), radius, side)
        field = _pattern(rng, side, radius)
        flat = colours[np.clip(field * 255, 0, 255).astype(np.uint8)]
        light = _light(rng, alpha, radius)
        pixels = opencv().multiply(flat, opencv().merge([light] * 3), dtype=opencv().CV_8U)
        shadow = 0.45 * opencv().GaussianBlur(alpha, (0, 0), 0.1 * radius)
        to_unit = np.asarray(np.linalg.inv(similarity(half, half, 0.0, radius, radius)), np.float64)
        return cls(pixels, alpha, shadow, to_unit, float(alpha.sum()))


def pick_colours(rng: np.random.Generator, around: U8Array) -> U8Array:
    """A ramp uint8 (256, 3) that differs from all colours ``around`` uint8 (K, 3) as well as a few tries allow."""
    tries: list[tuple[Colour, Colour]] = []
    for _ in range(10):
        hue, value = rng.uniform(0, 1), rng.uniform(0.35, 1.0)
        base = (hue, rng.uniform(0.35, 1.0), value)
        partner = value + rng.uniform(0.2, 0.4) * (-1 if value > 0.65 else 1)
        tries.append((base, (hue + rng.uniform(-0.08, 0.08), base[1] * rng.uniform(0.6, 1.0), partner)))
    middles = lab(np.stack([middle(*colours) for colours in tries]))
    contrast = np.linalg.norm(middles[:, None] - lab(around)[None], axis=-1).min(axis=1)
    good = np.flatnonzero(contrast >= _MIN_CONTRAST)
    return ramp(*tries[int(good[0]) if len(good) else int(contrast.argmax())])


def _fill(contours: list[F64Array], radius: float, side: int) -> F32Array:
    """Coverage float32 (side, side) of the shape, from a drawing at four times the size."""
    cv2 = opencv()
    scale, shift = 4, 4
    centre = (side * scale - 1) / 2
    corners = [np.rint((contour * radius * scale + centre) * (1 << shift)).astype(np.int32) for contour in contours]
    canvas = np.zeros((side * scale, side * scale), np.uint8)
    cv2.fillPoly(canvas, corners, 255, lineType=cv2.LINE_8, shift=shift)
    small = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


def _pattern(rng: np.random.Generator, side: int, radius: float) -> F32Array:
    """A field float32 (side, side) of 0..1: clouds, stripes, checks or dots, a little uneven."""
    uneven = noise(rng, (side, side), (radius * 0.5, radius * 0.5), octaves=2)
    kind = rng.integers(4)
    if kind == 0:
        return np.asarray((uneven - 0.5) * 2 + 0.5, np.float32)
    at = (np.arange(side, dtype=np.float32) - side / 2) * np.float32(2 * np.pi / (radius * rng.uniform(0.35, 0.7)))
    heading = rng.uniform(0, np.pi)
    cos, sin = np.float32(math.cos(heading)), np.float32(math.sin(heading))
    along, across = cos * at[None] + sin * at[:, None], cos * at[:, None] - sin * at[None]
    waves = np.sin(along) if kind == 1 else np.sin(along) * np.sin(across)
    sharp = waves * 4 if kind < 3 else (waves - 0.35) * 6
    return np.asarray(np.clip(sharp, -0.5, 0.5) * 0.7 + 0.5 + (uneven - 0.5) * 0.3, np.float32)


def _light(rng: np.random.Generator, alpha: F32Array, radius: float) -> F32Array:
    """Brightness float32 (s, s) around 1: lit from one side, and darker towards the rim like a cushion."""
    side = alpha.shape[0]
    slope = np.linspace(-1, 1, side, dtype=np.float32)
    heading = rng.uniform(0, 2 * np.pi)
    lit = 1 + 0.18 * (math.cos(heading) * slope[None] + math.sin(heading) * slope[:, None])
    depth = opencv().distanceTransform((alpha >= 0.5).view(np.uint8), opencv().DIST_L2, 3)
    rim = np.minimum(depth * np.float32(1 / (0.14 * radius)), 1)
    return np.asarray(lit * (0.62 + 0.4 * rim), np.float32)
