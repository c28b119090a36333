"""Results painted over a picture: masks, contours, boxes and labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeseg.draw_panoptic import annotate_panoptic
from edgeseg.draw_style import DARK, LIGHT, PALETTE, Colour, Lettering
from edgeseg.opencv import opencv
from edgeseg.types import Instances, Result, SizeHW, U8Array

_ALPHA = 0.45


def annotate(pixels: U8Array, result: Result) -> U8Array:
    """A copy of a picture with what was found in it: uint8 (H, W, 3) BGR, same size.

    Colours go by track id where there is one, else by class. A panoptic map is painted instead of instances: these are its things.
    """
    if result.panoptic is not None:
        return annotate_panoptic(pixels, result.panoptic, result.labels)
    image = pixels.copy()
    found = result.instances
    if found is None:
        return image
    colours = [instance_colour(found, i) for i in range(len(found))]
    # Best scores last, so that they lie on top; labels after all masks, so that none is covered.
    for i in reversed(range(len(found))):
        _paint_mask(image, found, i, colours[i])
    for i in reversed(range(len(found))):
        _paint_box(image, found, i, colours[i])
    for i in reversed(range(len(found))):
        _paint_label(image, found, i, result.labels[found.classes[i]].name, colours[i])
    return image


def instance_colour(found: Instances, i: int) -> Colour:
    """The colour of instance ``i``: by track id where there is one, else by class."""
    key = found.track_ids[i] if found.track_ids[i] >= 0 else found.classes[i]
    return PALETTE[int(key) % len(PALETTE)]


def _line_width(image_hw: SizeHW) -> int:
    return max(1, round(min(image_hw) / 540))


def _paint_mask(image: U8Array, found: Instances, i: int, colour: Colour) -> None:
    cv2 = opencv()
    y, x, inside = found.masks.crop(i)
    if not inside.size:
        return
    mask = inside.view(np.uint8)
    region = image[y : y + mask.shape[0], x : x + mask.shape[1]]
    # Two passes of OpenCV's vector code over the window: several times faster than a look-up table or NumPy.
    tint = [_ALPHA * channel for channel in colour]
    blended = cv2.add(cv2.convertScaleAbs(region, alpha=1 - _ALPHA), (*tint, 0))
    cv2.copyTo(blended, mask, region)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, contours, -1, colour, 1, cv2.LINE_8, offset=(x, y))


def _corners(found: Instances, i: int) -> tuple[int, int, int, int]:
    """The box in whole pixels, inside the image."""
    height, width = found.image_hw
    limit = np.array([width - 1, height - 1, width - 1, height - 1])
    x1, y1, x2, y2 = np.clip(np.nan_to_num(found.boxes[i]), 0, limit).round().astype(int).tolist()
    return x1, y1, x2, y2


def _paint_box(image: U8Array, found: Instances, i: int, colour: Colour) -> None:
    x1, y1, x2, y2 = _corners(found, i)
    opencv().rectangle(image, (x1, y1), (x2, y2), colour, _line_width(found.image_hw), opencv().LINE_8)


def _paint_label(image: U8Array, found: Instances, i: int, name: str, colour: Colour) -> None:
    """Name and score above the box, or inside it where there is no room; left out where it does not fit the picture."""
    height, width = found.image_hw
    lettering = Lettering.of(found.image_hw)
    identity = f"{name} #{found.track_ids[i]}" if found.track_ids[i] >= 0 else name
    for text in (f"{identity} {found.scores[i]:.2f}", identity):
        box_width, box_height = lettering.box_of(text)
        if box_width <= width and box_height <= height // 5:
            break
    else:
        return
    x1, y1, _, _ = _corners(found, i)
    top = y1 - box_height if y1 >= box_height else min(y1, height - box_height)
    lettering.fill(image, text, (min(x1, width - box_width), top), colour)


def captioned(image: U8Array, text: str, colour: Colour) -> U8Array:
    """A picture uint8 (H, W, 3) under a band with a coloured mark and a line of text; the band is 1/12 of the height."""
    cv2 = opencv()
    height, width = image.shape[:2]
    band = max(16, height // 12)
    panel: U8Array = cv2.copyMakeBorder(image, band, 0, 0, 0, cv2.BORDER_CONSTANT, value=DARK)
    cv2.rectangle(panel, (0, 0), (band - 1, band - 1), colour, cv2.FILLED)
    scale = band / 45
    (text_width, text_height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    scale *= min(1.0, (width - 2 * band) / max(text_width, 1))
    cv2.putText(panel, text, (band + band // 2, (band + text_height) // 2), cv2.FONT_HERSHEY_SIMPLEX, scale, LIGHT, 1, cv2.LINE_AA)
    return panel


def tiled(panels: Sequence[U8Array], columns: int) -> U8Array:
    """Pictures of one size in rows of ``columns``, from the top left; places without a picture are black."""
    blank = [np.zeros_like(panels[0])] * (-len(panels) % columns)
    rows = [np.hstack([*panels, *blank][start : start + columns]) for start in range(0, len(panels), columns)]
    return np.vstack(rows)
