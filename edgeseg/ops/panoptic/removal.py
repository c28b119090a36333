"""Mask removal on the detections' own windows. What it computes is said in `edgeseg.ops.panoptic.reference`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from edgeseg.opencv import opencv
from edgeseg.ops.panoptic.detections import Detections
from edgeseg.ops.panoptic.reference import OVERLAP_MAX
from edgeseg.types import BoolArray, F32Array, SizeHW


class Window(NamedTuple):
    """Whole pixels, half open. What is empty is `NOWHERE`, but for windows made by hand."""

    y1: int
    y2: int
    x1: int
    x2: int

    def within(self, other: Window) -> Window:
        """What both share."""
        shared = Window(max(self.y1, other.y1), min(self.y2, other.y2), max(self.x1, other.x1), min(self.x2, other.x2))
        return shared or NOWHERE

    def around(self, other: Window) -> Window:
        """The smallest with both; an empty one adds nothing."""
        if not self or not other:
            return self or other
        return Window(min(self.y1, other.y1), max(self.y2, other.y2), min(self.x1, other.x1), max(self.x2, other.x2))

    def from_row(self, row: int) -> Window:
        """The same counted from another row; what is empty stays so."""
        return Window(self.y1 - row, self.y2 - row, self.x1, self.x2) if self else NOWHERE

    def __bool__(self) -> bool:
        return self.y1 < self.y2 and self.x1 < self.x2

    @property
    def shape(self) -> SizeHW:
        return self.y2 - self.y1, self.x2 - self.x1

    def slices(self, origin: Window) -> tuple[slice, slice]:
        """Its place in an array that begins where ``origin`` does."""
        if not self:
            return slice(0, 0), slice(0, 0)
        return slice(self.y1 - origin.y1, self.y2 - origin.y1), slice(self.x1 - origin.x1, self.x2 - origin.x1)


NOWHERE = Window(0, 0, 0, 0)


@dataclass(frozen=True, repr=False)
class Slot:
    """A detection that the head shows."""

    detection: int
    class_id: int
    """A thing, counted from 1; 0 is of no class."""
    box: Window
    """Where its semantic logits count."""
    window: Window
    """Where its mask logits count."""
    logits: F32Array
    """float32, of the window's shape."""

    @property
    def extent(self) -> Window:
        """Outside it the slot counts 0."""
        return self.window.around(self.box)


def kept_slots(detections: Detections, image_hw: SizeHW) -> list[Slot]:
    """The detections that are left, best first. If all are removed: the first, without a mask. If there are none: one of no class."""
    if not len(detections):
        return [Slot(-1, 0, NOWHERE, NOWHERE, np.zeros((0, 0), np.float32))]
    slots: list[Slot] = []
    masks: dict[int, list[tuple[Window, BoolArray]]] = {}
    for i in np.argsort(detections.scores, kind="stable")[::-1].tolist():
        slot = _slot(detections, i, image_hw)
        inside = slot.logits > 0
        area, rivals = np.count_nonzero(inside), masks.setdefault(slot.class_id, [])
        if area and np.count_nonzero(inside & _taken(slot.window, rivals)) / area <= OVERLAP_MAX:
            slots.append(slot)
            rivals.append((slot.window, inside))
    if slots:
        return slots
    first = int(detections.classes[0])
    return [Slot(0, first, _box_window(detections.boxes[0], first, image_hw), NOWHERE, np.zeros((0, 0), np.float32))]


def _slot(detections: Detections, i: int, image_hw: SizeHW) -> Slot:
    box, class_id = detections.boxes[i], int(detections.classes[i])
    x1, y1, x2, y2 = (int(corner) for corner in box)
    window = Window(y1, y2 + 1, x1, x2 + 1).within(Window(0, image_hw[0], 0, image_hw[1]))
    logits = np.zeros((0, 0), np.float32)
    if window:
        cv2 = opencv()
        resized = cv2.resize(np.ascontiguousarray(detections.mask_logits[i]), (x2 - x1 + 1, y2 - y1 + 1), interpolation=cv2.INTER_LINEAR)
        logits = resized[window.slices(Window(y1, y1, x1, x1))]
    return Slot(i, class_id, _box_window(box, class_id, image_hw), window, logits)


def _box_window(box: F32Array, class_id: int, image_hw: SizeHW) -> Window:
    x1, y1 = (max(int(corner), 0) for corner in box[:2])
    x2, y2 = (int(np.round(corner) + 1) for corner in box[2:])
    return Window(y1, y2, x1, x2).within(Window(0, image_hw[0], 0, image_hw[1])) if class_id > 0 else NOWHERE


def _taken(window: Window, masks: list[tuple[Window, BoolArray]]) -> BoolArray:
    """bool, of the window's shape: where any of the masks, each on its own window, is True."""
    taken = np.zeros(window.shape, bool)
    for other, inside in masks:
        if shared := window.within(other):
            taken[shared.slices(window)] |= inside[shared.slices(other)]
    return taken
