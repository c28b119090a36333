"""A panoptic map painted over its picture: calm ground, bright things, names where there is room for them."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeseg.draw_style import PALETTE, Colour, Lettering
from edgeseg.opencv import opencv
from edgeseg.segmap import centre_of, extents_of, looked_up, painted, rows_of
from edgeseg.types import AnyArray, BoolArray, Label, Panoptic, Segment, SizeHW, U8Array

_ALPHA = 0.45
"""Part of the segment's colour in a pixel."""
_THING_ALPHA = 0.3
"""How much of what is left of a thing's own colours is painted over once more."""
_HUES = {
    "sky": 0.58, "water": 0.52, "sea": 0.53, "river": 0.51, "vegetation": 0.30, "tree": 0.31, "grass": 0.26, "terrain": 0.19,
    "sand": 0.12, "dirt": 0.09, "road": 0.80, "pavement": 0.86, "sidewalk": 0.88, "building": 0.05, "wall": 0.02, "snow": 0.56,
}  # fmt: skip
"""Hue of stuff whose name holds the word, so that a meadow is green; other stuff gets one by its class."""
_GOLDEN = 0.618034
"""Multiples of it, without their whole part, are as far apart as so many can be."""
_SMALL_SIDE = 240
"""Shorter side of the map in which places for labels are searched, pixels."""
_NAMED_STUFF = 0.015
"""Part of the picture from which a piece of stuff is named."""
_NAMED_THING = 0.0006
"""The same for things."""


def annotate_panoptic(pixels: U8Array, panoptic: Panoptic, labels: Sequence[Label]) -> U8Array:
    """A copy of a picture with its panoptic map: uint8 (H, W, 3) BGR, same size.

    Colours are the same in all frames: of things by track id where there is one, else by class; of stuff by class. Void stays as it is.
    """
    rows = rows_of(panoptic)
    colours = [colour_of(segment, labels) for segment in panoptic.segments]
    image = _tinted(pixels, rows, np.array([(0, 0, 0), *colours], np.uint8), [segment.is_thing for segment in panoptic.segments])
    _paint_labels(image, rows, panoptic, labels, colours)
    return image


def _tinted(pixels: U8Array, rows: AnyArray, tint: U8Array, is_thing: list[bool]) -> U8Array:
    """Colours and borders of N segments: those of things in a light shade of their colour, those of stuff in a dark one.

    Args:
        pixels: uint8 (H, W, 3).
        rows: (H, W), see `rows_of`.
        tint: uint8 (N + 1, 3); row 0 is void.
        is_thing: N flags.
    """
    cv2 = opencv()
    things = np.array([False, *is_thing])
    colour = painted(rows, tint)
    image: U8Array = cv2.addWeighted(pixels, 1 - _ALPHA, colour, _ALPHA, 0)
    cv2.copyTo(cv2.addWeighted(image, 1 - _THING_ALPHA, colour, _THING_ALPHA, 0), looked_up(rows, things.view(np.uint8)), image)
    shades = np.where(things[:, None], tint // 3 + 170, tint // 2).astype(np.uint8)
    cv2.copyTo(painted(rows, shades), _edges(rows), image)
    cv2.copyTo(pixels, (rows == 0).view(np.uint8), image)
    return image


def colour_of(segment: Segment, labels: Sequence[Label]) -> Colour:
    """The colour of a segment in every frame."""
    if segment.is_thing:
        key = segment.class_id if segment.track_id is None else segment.track_id
        return PALETTE[key % len(PALETTE)]
    name = labels[segment.class_id].name.lower()
    hue = next((hue for word, hue in _HUES.items() if word in name), segment.class_id * _GOLDEN % 1)
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.35, 0.72)
    return round(255 * blue), round(255 * green), round(255 * red)


def _edges(rows: AnyArray) -> U8Array:
    """uint8 (H, W), 0 or 1: the pixels along the borders of segments, two or three wide."""
    width = 2 if min(rows.shape) < 720 else 3
    # OpenCV has no such filter for int32; float32 holds these numbers exactly.
    values = rows if rows.dtype == np.uint8 else rows.astype(np.float32)
    cv2 = opencv()
    return np.asarray(cv2.morphologyEx(values, cv2.MORPH_GRADIENT, np.ones((width, width), np.uint8)) > 0).view(np.uint8)


def _paint_labels(image: U8Array, rows: AnyArray, panoptic: Panoptic, labels: Sequence[Label], colours: Sequence[Colour]) -> None:
    """Things first, so that stuff makes room for them; a label that finds no free place is left out."""
    lettering, room = Lettering.of(image.shape[:2]), _Room.of(rows)
    boxes = extents_of(room.rows, len(panoptic.segments)).boxes
    for i in sorted(range(len(panoptic.segments)), key=lambda i: not panoptic.segments[i].is_thing):
        segment = panoptic.segments[i]
        if segment.area < (_NAMED_THING if segment.is_thing else _NAMED_STUFF) * rows.size or not boxes[i].any():
            continue
        text = _text(segment, labels)
        at = room.take(i + 1, boxes[i].tolist(), lettering.box_of(text), beside=segment.is_thing)
        if at is not None and segment.is_thing:
            lettering.fill(image, text, at, colours[i])
        elif at is not None:
            lettering.outline(image, text, at)


def _text(segment: Segment, labels: Sequence[Label]) -> str:
    name = labels[segment.class_id].name
    if not segment.is_thing:
        return name
    return f"{name} {segment.score:.2f}" if segment.track_id is None else f"{name} #{segment.track_id}"


@dataclass(frozen=True)
class _Room:
    """Where labels may stand: a map of fewer pixels, and what of it is taken."""

    rows: AnyArray
    """(h, w): every ``step``-th row and column of the map."""
    taken: BoolArray
    """bool (h, w)."""
    step: int
    image_hw: SizeHW

    @classmethod
    def of(cls, rows: AnyArray) -> _Room:
        """All of a map, not taken."""
        step = max(1, min(rows.shape) // _SMALL_SIDE)
        small = rows[::step, ::step]
        return cls(small, np.zeros(small.shape, bool), step, (rows.shape[0], rows.shape[1]))

    def take(self, row: int, extent: Sequence[int], label: tuple[int, int], *, beside: bool) -> tuple[int, int] | None:
        """Top left pixel (x, y) of a label for segment ``row``, whose place is taken then; None if there is no room.

        Args:
            row: value in the map.
            extent: x, y, width, height of the segment in ``rows``.
            label: width and height in pixels.
            beside: it may stand over or under the segment where it does not fit inside.
        """
        size = -(-label[0] // self.step) + 1, -(-label[1] // self.step) + 1
        at = self._inside(row, extent, size)
        if at is None and beside:
            at = self._beside(extent, size)
        if at is None:
            return None
        self.taken[at[1] : at[1] + size[1], at[0] : at[0] + size[0]] = True
        return at[0] * self.step, at[1] * self.step

    def _inside(self, row: int, extent: Sequence[int], size: tuple[int, int]) -> tuple[int, int] | None:
        """The top left of the most central box of a size that is all in a segment and free."""
        cv2 = opencv()
        x, y, width, height = extent
        window = slice(y, y + height), slice(x, x + width)
        free = ((self.rows[window] == row) & ~self.taken[window]).view(np.uint8)
        fits = cv2.erode(free, np.ones(size[::-1], np.uint8), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT, borderValue=0)
        if not fits.any():
            return None
        left, top = centre_of(fits)
        return x + left, y + top

    def _beside(self, extent: Sequence[int], size: tuple[int, int]) -> tuple[int, int] | None:
        """The top left of a free box in the middle over a segment, or else under it."""
        x, y, width, height = extent
        rows, columns = self.rows.shape
        left = min(max(x + (width - size[0]) // 2, 0), columns - size[0])
        for top in (y - size[1], y + height):
            if left >= 0 and 0 <= top <= rows - size[1] and not self.taken[top : top + size[1], left : left + size[0]].any():
                return left, top
        return None
