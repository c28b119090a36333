"""The panoptic head without a plane for each instance. What it computes is said in `edgeseg.ops.panoptic.reference`; it gives exactly that.

An instance is looked at in its own window. Outside it counts 0, and there only the first such instance can win, by being the first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.ops.panoptic.dense import floor_of, largest
from edgeseg.ops.panoptic.detections import VOID, Detections, SlotMap
from edgeseg.ops.panoptic.removal import Slot, Window, kept_slots
from edgeseg.ops.panoptic.upsample import SCALE, larger
from edgeseg.types import F32Array, I32Array, SizeHW

BAND_PIXELS = 1 << 18
"""About as many pixels at a time as the processor's cache holds."""


def panoptic_head(semantic: F32Array, stuff: int, detections: Detections, void: bool, covered_hw: SizeHW) -> SlotMap:
    """As the reference on logits that are made four times larger, cut to what the picture covers of them.

    Args:
        semantic: float32 (C, h, w): logits of stuff, then of things.
        stuff: how many of C are stuff.
        detections: in pixels of the larger logits, with finite numbers.
        void: whether the unknown class competes.
        covered_hw: height and width of the result, up to (4h, 4w).
    """
    channels, rows, columns = semantic.shape
    slots = kept_slots(detections, (rows * SCALE, columns * SCALE)) if stuff < channels else []
    head = _Head(semantic, stuff, slots, void)
    (height, width), step = covered_hw, max(BAND_PIXELS // covered_hw[1] // SCALE, 1) * SCALE
    ids, labels = np.empty(covered_hw, np.int32), np.empty(covered_hw, np.int32)
    for y in range(0, height, step):
        ids[y : y + step], labels[y : y + step] = head.decide(Window(y, min(y + step, height), 0, width))
    kept = [slot.detection for slot in slots] if len(detections) else []
    return SlotMap(ids, np.array([slot.class_id for slot in slots], np.int64), np.array(kept, np.int64), labels)


@dataclass(frozen=True, repr=False)
class _Head:
    """What all bands of a picture share."""

    semantic: F32Array
    stuff: int
    slots: list[Slot]
    void: bool

    def decide(self, area: Window) -> tuple[I32Array, I32Array]:
        """int32, of the area's shape: the winner of every pixel, and the label that the semantics see there."""
        # A pixel at the edge looks at one cell beyond it.
        first, last = max(area.y1 // SCALE - 1, 0), (area.y2 + SCALE // 2 - 1) // SCALE + 1
        cells = self.semantic[:, first:last, : (area.x2 + SCALE // 2 - 1) // SCALE + 1]
        place = area.from_row(first * SCALE)
        stuff, things = cells[: self.stuff], cells[self.stuff :]
        floor = floor_of(stuff)
        ground, labels = largest(stuff, floor, place)
        if not self.slots:
            return labels, labels
        winners = _Winners(area, ground.copy(), labels.copy())
        common = _common(self.slots, area)
        thing, thing_labels = largest(things, _things_limit(things, floor, common.from_row(first * SCALE)), place)
        explained = _enter(self.slots, self.semantic[self.stuff :], winners, self.stuff, common)
        np.copyto(labels, thing_labels + np.int32(self.stuff), where=thing > ground)
        if self.void:
            winners.take(area, thing - explained, VOID)
        return winners.ids, labels


def _common(slots: list[Slot], area: Window) -> Window:
    """Where every slot has a say on the semantics, so that what they explain may be less than 0."""
    for slot in slots:
        area = area.within(slot.box)
    return area


def _things_limit(cells: F32Array, ground_floor: F32Array, common: Window) -> F32Array:
    """Between which cells things matter: where they may be above all stuff, and all of ``common``, in pixels from the first cell on.

    Elsewhere the semantics see stuff, and the unknown class, from which something that is 0 or more is subtracted, cannot win.
    """
    floor = floor_of(cells)
    limit = np.maximum(floor, np.nextafter(ground_floor, np.float32(np.inf)))
    if common:
        y1, x1 = (side // SCALE for side in (common.y1, common.x1))
        y2, x2 = (side // SCALE + 2 for side in (common.y2, common.x2))
        limit[y1:y2, x1:x2] = floor[y1:y2, x1:x2]
    return limit


def _enter(slots: list[Slot], things: F32Array, winners: _Winners, stuff: int, common: Window) -> F32Array:
    """Let the slots compete in their order. Returns float32 (H, W): the most that they say of the semantics."""
    area = winners.area
    explained = np.zeros(area.shape, np.float32)
    if common:
        explained[common.slices(area)] = -np.inf
    # Where all slots so far had their say: there the zero of the next one is the first.
    covered = area
    for number, slot in enumerate(slots, stuff):
        window, box = slot.extent.within(area), slot.box.within(area)
        if not (window or covered):
            continue
        seen = _in_window(things[slot.class_id - 1], box)
        values = np.zeros(window.shape, np.float32)
        values[box.slices(window)] = seen
        mask = slot.window.within(area)
        values[mask.slices(window)] += slot.logits[mask.slices(slot.window)]
        shared = window.within(covered)
        plane = np.zeros(covered.shape, np.float32)
        plane[shared.slices(covered)] = values[shared.slices(window)]
        winners.take(covered, plane, number)
        winners.take(window, values, number)
        np.maximum(explained[box.slices(area)], seen, out=explained[box.slices(area)])
        covered = shared
    return explained


def _in_window(cells: F32Array, window: Window) -> F32Array:
    """float32, of the window's shape: a channel (h, w) made larger there."""
    (y1, y2, x1, x2), (height, width) = window, cells.shape
    rows = np.arange(y1 // SCALE - 1, -(-y2 // SCALE) + 1).clip(0, height - 1)
    columns = np.arange(x1 // SCALE - 1, -(-x2 // SCALE) + 1).clip(0, width - 1)
    start_y, start_x = y1 // SCALE * SCALE, x1 // SCALE * SCALE
    return larger(cells[rows[:, None], columns])[window.slices(Window(start_y, 0, start_x, 0))] if window else np.zeros((0, 0), np.float32)


@dataclass(frozen=True, repr=False)
class _Winners:
    """The best value of each pixel so far, float32 (H, W), and whose it is, int32."""

    area: Window
    best: F32Array
    ids: I32Array

    def take(self, window: Window, values: F32Array, number: int) -> None:
        """Give a later competitor the pixels of its window where it has more than all before."""
        at = window.slices(self.area)
        more = values > self.best[at]
        np.copyto(self.best[at], values, where=more)
        np.copyto(self.ids[at], number, where=more)
