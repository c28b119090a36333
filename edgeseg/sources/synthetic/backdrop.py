"""The landscape behind the objects: stuff classes laid out in wavy bands, drawn once per scene."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgeseg.opencv import opencv
from edgeseg.sources.synthetic.motion import similarity, visible_extent
from edgeseg.sources.synthetic.textures import noise, ramp
from edgeseg.types import F32Array, F64Array, SizeHW, U8Array

STUFF = ("sky", "water", "grass", "sand")


@dataclass(frozen=True, repr=False)
class Backdrop:
    """A picture somewhat larger than a frame, which the camera moves over."""

    pixels: U8Array
    """uint8 (h, w, 3) BGR."""
    stuff: U8Array
    """uint8 (h, w): index into STUFF."""
    from_world: F64Array
    """float64 (3, 3): world to backdrop pixels."""
    colours: U8Array
    """uint8 (K, 3) BGR: the typical colours of what is in it."""

    @classmethod
    def draw(cls, rng: np.random.Generator, image_hw: SizeHW) -> Backdrop:
        """A random landscape that covers all that the camera can see in frames of ``image_hw``."""
        unit = min(image_hw)
        half_width, half_height = visible_extent(image_hw, 1.0)
        size_hw = (math.ceil(2 * half_height * unit) + 4, math.ceil(2 * half_width * unit) + 4)
        kinds = _order(rng)
        stuff = _layout(rng, size_hw, unit, kinds)
        ramps = [_RAMPS[kind](rng) for kind in STUFF]
        field = np.zeros(size_hw, np.float32)
        for kind in kinds:
            rows = np.flatnonzero((stuff == STUFF.index(kind)).any(axis=1))
            if len(rows):
                _paint(rng, field[rows[0] : rows[-1] + 1], stuff[rows[0] : rows[-1] + 1], kind, unit)
        shade = np.clip(field * 255, 0, 255).astype(np.uint8)
        pixels = np.concatenate(ramps)[stuff.astype(np.int32) * 256 + shade]
        # Neighbouring regions meet in a soft edge, as they would through a lens.
        pixels = opencv().GaussianBlur(pixels, (3, 3), 0.6)
        from_world = similarity((size_hw[1] - 1) / 2, (size_hw[0] - 1) / 2, 0.0, unit, unit)
        colours = np.concatenate([ramps[STUFF.index(kind)][[64, 192]] for kind in kinds])
        return cls(pixels, stuff, from_world, colours)


def _order(rng: np.random.Generator) -> list[str]:
    """Which kinds are seen, from the top of the picture down."""
    ground = [str(kind) for kind in rng.permutation(STUFF[1:])]
    if rng.random() < 0.25:
        ground = ground[:2]
    return ["sky", *ground] if rng.random() < 0.85 else ground


def _layout(rng: np.random.Generator, size_hw: SizeHW, unit: int, kinds: list[str]) -> U8Array:
    """The stuff map uint8 (h, w): every kind but the first begins below a wavy line."""
    height, width = size_hw
    stuff = np.full(size_hw, STUFF.index(kinds[0]), np.uint8)
    lines = np.sort(rng.uniform(0.22, 0.85, len(kinds) - 1)) * height
    rows = np.arange(height, dtype=np.float32)[:, None]
    for kind, line in zip(kinds[1:], lines, strict=True):
        wave = noise(rng, (1, width), (1, unit * rng.uniform(0.2, 0.6)), octaves=2)
        border = line + (wave - 0.5) * unit * rng.uniform(0.05, 0.35)
        stuff[rows >= border] = STUFF.index(kind)
    return stuff


def _paint(rng: np.random.Generator, field: F32Array, stuff: U8Array, kind: str, unit: int) -> None:
    """Write the texture of one kind into its part of ``field``, in place."""
    texture = _TEXTURES[kind](rng, (field.shape[0], field.shape[1]), unit)
    opencv().copyTo(texture, (stuff == STUFF.index(kind)).view(np.uint8), field)


def _sky(rng: np.random.Generator, size_hw: SizeHW, unit: int) -> F32Array:
    clouds = noise(rng, size_hw, (unit * 0.16, unit * 0.4), octaves=3)
    haze = np.linspace(-0.15, 0.25, size_hw[0], dtype=np.float32)[:, None]
    return np.asarray((clouds - rng.uniform(0.42, 0.55)) * 2.2 + 0.25 + haze, np.float32)


def _water(rng: np.random.Generator, size_hw: SizeHW, unit: int) -> F32Array:
    swell = noise(rng, size_hw, (unit * 0.035, unit * 0.16), octaves=2)
    rows = np.arange(size_hw[0], dtype=np.float32)[:, None] * np.float32(2 * np.pi / (unit * rng.uniform(0.04, 0.07)))
    return np.asarray(0.5 + 0.28 * np.sin(rows + 9 * swell) + 0.8 * (swell - 0.5), np.float32)


def _grass(rng: np.random.Generator, size_hw: SizeHW, unit: int) -> F32Array:
    patches = noise(rng, size_hw, (unit * 0.15, unit * 0.25))
    blades = noise(rng, size_hw, (unit * 0.03, unit * 0.011))
    return np.asarray(0.45 * patches + 0.75 * blades - 0.1, np.float32)


def _sand(rng: np.random.Generator, size_hw: SizeHW, unit: int) -> F32Array:
    dunes = noise(rng, size_hw, (unit * 0.1, unit * 0.35))
    grains = noise(rng, size_hw, (unit * 0.014, unit * 0.014))
    return np.asarray(0.75 * dunes + 0.35 * grains - 0.05, np.float32)


_TEXTURES = {"sky": _sky, "water": _water, "grass": _grass, "sand": _sand}


def _sky_ramp(rng: np.random.Generator) -> U8Array:
    hue = rng.uniform(0.54, 0.62) if rng.random() < 0.75 else rng.uniform(0.95, 1.1)
    deep = rng.uniform(0.4, 0.65) if 0.5 < hue < 0.7 else rng.uniform(0.15, 0.3)
    return ramp((hue, deep, rng.uniform(0.8, 0.95)), (hue, deep * 0.45, 0.97), (hue, 0.03, 1.0))


def _water_ramp(rng: np.random.Generator) -> U8Array:
    hue, value = rng.uniform(0.49, 0.63), rng.uniform(0.35, 0.5)
    return ramp((hue, 0.8, value), (hue - 0.02, 0.65, value + 0.18), (hue - 0.03, 0.4, value + 0.38))


def _grass_ramp(rng: np.random.Generator) -> U8Array:
    hue, value = rng.uniform(0.21, 0.36), rng.uniform(0.25, 0.4)
    return ramp((hue + 0.03, 0.7, value), (hue, 0.6, value + 0.2), (hue - 0.03, 0.5, value + 0.38))


def _sand_ramp(rng: np.random.Generator) -> U8Array:
    hue, value = rng.uniform(0.07, 0.13), rng.uniform(0.5, 0.65)
    return ramp((hue, 0.5, value), (hue, 0.38, value + 0.2), (hue + 0.01, 0.25, value + 0.33))


_RAMPS = {"sky": _sky_ramp, "water": _water_ramp, "grass": _grass_ramp, "sand": _sand_ramp}
