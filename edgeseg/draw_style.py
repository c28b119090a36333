"""Colours and lettering that all drawings share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from edgeseg.opencv import opencv
from edgeseg.types import SizeHW, U8Array

Colour: TypeAlias = tuple[int, int, int]
"""BGR."""

PALETTE: tuple[Colour, ...] = (
    (60, 76, 231), (219, 152, 52), (113, 204, 46), (18, 156, 243), (182, 89, 155), (188, 188, 26), (99, 30, 233), (57, 220, 205),
    (181, 81, 63), (34, 87, 255), (80, 175, 76), (212, 188, 0), (176, 39, 156), (7, 193, 255), (130, 142, 15), (154, 130, 239),
    (244, 169, 3), (74, 195, 139), (43, 57, 192), (185, 128, 41), (96, 174, 39), (84, 130, 210), (203, 120, 200), (160, 160, 80),
)  # fmt: skip
"""Far apart in hue from one to the next."""
DARK: Colour = (24, 24, 24)
LIGHT: Colour = (255, 255, 255)
_BRIGHT = 150
"""Text on backgrounds brighter than this grey level is dark."""


def readable_on(colour: Colour) -> Colour:
    """The colour of text on a background."""
    blue, green, red = colour
    return DARK if 0.114 * blue + 0.587 * green + 0.299 * red > _BRIGHT else LIGHT


@dataclass(frozen=True)
class Lettering:
    """Size of the labels in a picture."""

    scale: float
    thickness: int
    pad: int
    """Pixels around the text."""

    @classmethod
    def of(cls, image_hw: SizeHW) -> Lettering:
        """That which is legible in a picture of such a size."""
        scale = float(np.clip(min(image_hw) / 1200, 0.4, 1.6))
        return cls(scale, max(1, round(scale * 1.5)), max(2, round(4 * scale)))

    def box_of(self, text: str) -> tuple[int, int]:
        """Width and height of a label in pixels."""
        (width, height), below = opencv().getTextSize(text, opencv().FONT_HERSHEY_SIMPLEX, self.scale, self.thickness)
        return width + 2 * self.pad, height + below + 2 * self.pad

    def fill(self, image: U8Array, text: str, at: tuple[int, int], colour: Colour) -> None:
        """Paint a label on a filled box whose top left pixel is ``at``, (x, y)."""
        (left, top), (width, height) = at, self.box_of(text)
        opencv().rectangle(image, at, (left + width - 1, top + height - 1), colour, opencv().FILLED)
        self._write(image, text, at, readable_on(colour))

    def outline(self, image: U8Array, text: str, at: tuple[int, int]) -> None:
        """Paint light text with a dark rim and no box."""
        # Copies around it, not a thicker text: that is wider in some of OpenCV's fonts.
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1), (1, 1)):
            self._write(image, text, (at[0] + dx * self.thickness, at[1] + dy * self.thickness), DARK)
        self._write(image, text, at, LIGHT)

    def _write(self, image: U8Array, text: str, at: tuple[int, int], colour: Colour) -> None:
        cv2 = opencv()
        (_, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, self.scale, self.thickness)
        place = (at[0] + self.pad, at[1] + self.pad + height)
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, self.scale, colour, self.thickness, cv2.LINE_AA)
