"""The panoptic head in tiles. What it computes is said in `edgeseg.ops.panoptic.reference`, and it gives exactly that.

Three things make it cheap. A tile looks only at channels that can win in it: upsampled values lie between those of the cells
around them. An instance is looked at in its own window: where it counts 0, only the first such instance can win, by being the first.
And what the semantics say of things is only found where an instance or the unknown class may win.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgeseg.ops.panoptic.detections import VOID, Detections, SlotMap
from edgeseg.ops.panoptic.removal import Slot, Window, kept_slots
from edgeseg.ops.panoptic.upsample import SCALE, larger
from edgeseg.types import F32Array, I32Array, I64Array, SizeHW

TILE = 32
"""Side of a tile in cells of the semantic logits."""


def panoptic_head(semantic: F32Array, stuff: int, detections: Detections, void: bool, covered_hw: SizeHW) -> SlotMap:
    """As the reference on logits that are made four times larger, cut to what the picture covers of them.

    Args:
        semantic: float32 (C, h, w): logits of stuff, then of things.
        stuff: how many of C are stuff.
        detections: in pixels of the larger logits, with finite numbers.
        void: whether the unknown class competes.
        covered_hw: height and width of the result, up to (4h, 4w).
    """
    channels, height, width = semantic.shape
    slots = kept_slots(detections, (height * SCALE, width * SCALE)) if stuff < channels else []
    ids, labels = np.empty(covered_hw, np.int32), np.zeros(covered_hw, np.int32)
    head = _Head(semantic, stuff, slots, void)
    whole = Window(0, covered_hw[0], 0, covered_hw[1])
    for area in _tiles(covered_hw):
        place = area.within(whole)
        inside, target = place.slices(area), place.slices(whole)
        winners, seen = head.decide(area)
        ids[target] = winners[inside]
        if seen is not None:
            labels[target] = seen[inside]
    kept = [slot.detection for slot in slots] if len(detections) else []
    classes = np.array([slot.class_id for slot in slots], np.int64)
    return SlotMap(ids, classes, np.array(kept, np.int64), labels)


def _tiles(covered_hw: SizeHW) -> Iterator[Window]:
    """Windows of whole cells, in pixels, that cover the result; the last ones may reach beyond it by less than a cell."""
    height, width = (-(-side // SCALE) * SCALE for side in covered_hw)
    step = TILE * SCALE
    for y in range(0, height, step):
        for x in range(0, width, step):
            yield Window(y, min(y + step, height), x, min(x + step, width))


@dataclass(frozen=True, repr=False)
class _Head:
    """All that the tiles share."""

    semantic: F32Array
    stuff: int
    slots: list[Slot]
    void: bool

    def decide(self, area: Window) -> tuple[I32Array, I32Array | None]:
        """The winners in one tile, int32; and if there may be an instance among them, the label that the semantics see."""
        tile = _Tile(self.semantic, area)
        near = [i for i, slot in enumerate(self.slots) if slot.extent.within(area)]
        # The first slot that counts 0 in all of the tile.
        zero = next((i for i in range(len(self.slots) + 1) if i >= len(near) or near[i] != i), 0)
        ground_channels, things = np.arange(self.stuff), np.arange(self.stuff, len(self.semantic))
        floor = tile.floor(ground_channels)
        if not near and (zero == len(self.slots) or floor >= 0) and not (self.void and tile.ceiling(things) > floor):
            return tile.label_of_largest(ground_channels), None
        winners = _Winners(*tile.largest(ground_channels))
        ground, labels = winners.best.copy(), winners.ids.copy()
        explained = self._compete(tile, winners, near, zero)
        sure = not (winners.ids >= self.stuff).any()
        if not (len(things) and (self.void or not sure)):
            return winners.ids, None
        thing, thing_labels = tile.largest(things)
        if self.void:
            winners.take(area, area, thing - explained, VOID)
        return winners.ids, np.where(thing > ground, thing_labels, labels)

    def _compete(self, tile: _Tile, winners: _Winners, near: list[int], zero: int) -> F32Array:
        """Enter the slots in their order. Returns float32: the most that they say of the semantics, per pixel."""
        area = tile.area
        some_zero = zero < len(self.slots)
        explained = np.full(area.shape, 0 if some_zero else -np.inf, np.float32)
        for i in sorted({*near, *([zero] if some_zero else [])}):
            # Behind the zeros of an earlier slot, those of a later one do not matter.
            window = area if i <= zero else self.slots[i].extent.within(area)
            seen, values = self._values(tile, self.slots[i], window)
            winners.take(area, window, values, self.stuff + i)
            at = window.slices(area)
            np.maximum(explained[at], seen, out=explained[at])
        return explained

    def _values(self, tile: _Tile, slot: Slot, window: Window) -> tuple[F32Array, F32Array]:
        """What the semantics say of a slot in a window, and that with its mask."""
        seen = np.zeros(window.shape, np.float32)
        if box := slot.box.within(window):
            seen[box.slices(window)] = tile.channel(self.stuff - 1 + slot.class_id)[box.slices(tile.area)]
        values = seen
        if place := slot.window.within(window):
            values = seen.copy()
            values[place.slices(window)] += slot.logits[place.slices(slot.window)]
        return seen, values


@dataclass(frozen=True, repr=False)
class _Winners:
    """The best value of each pixel so far, float32, and whose it is, int32."""

    best: F32Array
    ids: I32Array

    def take(self, area: Window, window: Window, values: F32Array, number: int) -> None:
        """Give a later competitor the pixels of its window in the tile where it has more than all before."""
        at = window.slices(area)
        more = values > self.best[at]
        np.copyto(self.best[at], values, where=more)
        np.copyto(self.ids[at], number, where=more)


class _Tile:
    """One tile of the upsampled logits, channel by channel as they are asked for."""

    def __init__(self, semantic: F32Array, area: Window) -> None:
        self.area = area
        y1, y2, x1, x2 = (side // SCALE for side in area)
        height, width = semantic.shape[1:]
        inner = semantic[:, max(y1 - 1, 0) : y2 + 1, max(x1 - 1, 0) : x2 + 1]
        beyond = (int(y1 == 0), int(y2 == height)), (int(x1 == 0), int(x2 == width))
        self._cells = np.pad(inner, ((0, 0), *beyond), mode="edge") if any(map(any, beyond)) else inner
        self._low, self._high = inner.min(axis=(1, 2)), inner.max(axis=(1, 2))
        self._made: dict[int, F32Array] = {}

    def channel(self, number: int) -> F32Array:
        """float32, of the tile's shape in pixels."""
        if number not in self._made:
            self._made[number] = larger(self._cells[number])
        return self._made[number]

    def floor(self, channels: I64Array) -> float:
        """No pixel's largest value among the channels is below it."""
        return float(self._low[channels].max(initial=-np.inf))

    def ceiling(self, channels: I64Array) -> float:
        """No pixel has a value above it in the channels."""
        return float(self._high[channels].max(initial=-np.inf))

    def label_of_largest(self, channels: I64Array) -> I32Array:
        """int32, of the tile's shape: the lowest channel that has the largest value."""
        possible = self._possible(channels)
        return np.full(self.area.shape, possible[0], np.int32) if len(possible) == 1 else self.largest(channels)[1]

    def largest(self, channels: I64Array) -> tuple[F32Array, I32Array]:
        """The largest of some channels, float32, and the lowest channel that has it, int32; of none: minus infinity, `VOID`."""
        possible = self._possible(channels)
        if not possible:
            return np.full(self.area.shape, -np.inf, np.float32), np.full(self.area.shape, VOID, np.int32)
        winners = _Winners(self.channel(possible[0]).copy(), np.full(self.area.shape, possible[0], np.int32))
        for number in possible[1:]:
            winners.take(self.area, self.area, self.channel(number), number)
        return winners.best, winners.ids

    def _possible(self, channels: I64Array) -> list[int]:
        """Those of the channels that can have the largest value somewhere in the tile."""
        possible: list[int] = channels[self._high[channels] >= self.floor(channels)].tolist()
        return possible
