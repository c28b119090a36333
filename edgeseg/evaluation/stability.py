"""How steady masks are: flicker after motion is taken out, and instances that come and go for no reason.

For a true instance that is found in two frames in a row, the mask of the first is moved as the object truly moved and compared
with the mask of the second:

    change = 1 - IoU(mask before, moved; mask now)

over the pixels that show the same thing in both frames: those where another true instance is seen, now or before, and those that
were outside the picture are left out, because what is hidden or uncovered there is no fault of the model. The same number for the
true masks, which is what is left of rounding to pixels, is taken off. Flicker is the mean of the difference.

A mask is moved as its object moves, beyond the object's outline too. So a mask that is always too large by the same rim does not
flicker, as no viewer would say it does; average precision is what counts that error.

An event is a true instance that is there in two frames in a row and is found in one of them only.

"Found" means a result of the same class with a mask IoU of at least 0.5, the best one where there are several. No ids are needed:
the true instance says which results belong together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from edgeseg.errors import EvaluationError
from edgeseg.evaluation.coco import CodedTruth, check_sizes, coded, overlaps
from edgeseg.opencv import opencv
from edgeseg.types import BoolArray, F64Array, GroundTruth, Result, U8Array

MATCH_IOU = 0.5
_WHITE = 255


@dataclass(frozen=True)
class Stability:
    """What `StabilityMeter` found. Means are NaN where nothing was found twice in a row."""

    flicker: float
    """Mean of the masks' change less the true masks' own; 0 is perfectly steady, 1 is another mask in every frame."""
    mask_change: float
    true_change: float
    events_per_100: float
    """Appearing and vanishing instances in 100 frames."""
    pairs: int
    """How often an instance was found in two frames in a row: what the means are over."""
    frames: int
    """Frames that had one before them."""


@dataclass(frozen=True, repr=False)
class _Seen:
    """One frame: its true instances, what was found of them, and how they go on."""

    truth: GroundTruth
    covered: BoolArray
    """bool (H, W): the pixels of all true instances."""
    rows: Mapping[int, int]
    """Id of a true instance that counts -> its row."""
    found: Mapping[int, BoolArray]
    """Id of one that was found -> its result mask, bool (H, W)."""
    steps: F64Array

    def others(self, row: int) -> BoolArray:
        """bool (H, W): where another true instance is seen."""
        return np.asarray(self.covered & ~self.truth.masks[row])


class StabilityMeter:
    """Collects results frame by frame. It keeps one frame."""

    def __init__(self) -> None:
        self._clip: str | None = None
        self._last: _Seen | None = None
        self._changes: list[tuple[float, float]] = []
        self._events = 0
        self._frames = 0

    def add(self, clip: str, result: Result, truth: GroundTruth | CodedTruth, steps: F64Array) -> None:
        """Take one frame; the frames of a clip come in order, one clip after the other.

        Args:
            clip: name of the clip.
            result: what was found.
            truth: what is there, with ids; ignored instances do not count.
            steps: float64 (N, 2, 3), for each true instance from image pixel now to image pixel in the clip's next frame.

        Raises:
            EvaluationError: the sizes differ or the truth has no ids.
        """
        code = coded(truth)
        check_sizes(result, code.truth)
        seen = _look(result, code, steps)
        if self._last is not None and self._clip == clip:
            self._compare(self._last, seen)
        self._clip, self._last = clip, seen

    def _compare(self, last: _Seen, seen: _Seen) -> None:
        self._frames += 1
        for key in last.rows.keys() & seen.rows.keys():
            self._events += (key in last.found) != (key in seen.found)
            if key in last.found and key in seen.found:
                self._changes.extend(_changes(last, seen, key))

    def compute(self) -> Stability:
        """Score all that was added.

        Raises:
            EvaluationError: no clip had two frames.
        """
        if not self._frames:
            raise EvaluationError("there is nothing to score: stability needs two frames of a clip")
        found, true = np.mean(self._changes, axis=0) if self._changes else (float("nan"), float("nan"))
        return Stability(
            flicker=float(found - true),
            mask_change=float(found),
            true_change=float(true),
            events_per_100=100 * self._events / self._frames,
            pairs=len(self._changes),
            frames=self._frames,
        )


def _look(result: Result, code: CodedTruth, steps: F64Array) -> _Seen:
    truth = code.truth
    if truth.ids is None:
        raise EvaluationError("this ground truth does not say which object is which from frame to frame (ids)")
    rows = {int(key): row for row, key in enumerate(truth.ids) if not truth.ignored[row]}
    found: dict[int, BoolArray] = {}
    if result.instances is not None and len(result.instances):
        overlap = overlaps(result.instances, code)
        overlap[result.instances.classes[:, None] != truth.classes] = 0
        for key, row in rows.items():
            best = int(overlap[:, row].argmax())
            if overlap[best, row] >= MATCH_IOU:
                found[key] = result.instances.masks.paste(best)
    covered = np.zeros(truth.image_hw, bool)
    for mask in truth.masks:
        covered |= mask
    return _Seen(truth, covered, rows, found, steps)


def _changes(last: _Seen, seen: _Seen, key: int) -> list[tuple[float, float]]:
    """Change of an instance's result mask and of its true mask; nothing where no pixel can be compared."""
    before, now = last.rows[key], seen.rows[key]
    earlier, later = (last.found[key], last.truth.masks[before]), (seen.found[key], seen.truth.masks[now])
    step = last.steps[before]
    window = _window(earlier, later, step)
    # The border of the picture moves in as zeros, so what was outside is not comparable.
    comparable = (_moved(~last.others(before), step, window) == _WHITE) & ~seen.others(now)[window]
    found, true = (_change(_moved(a, step, window), b[window], comparable) for a, b in zip(earlier, later, strict=True))
    return [] if found is None or true is None else [(found, true)]


def _window(earlier: Iterable[BoolArray], later: Iterable[BoolArray], step: F64Array) -> tuple[slice, slice]:
    """Rows and columns that hold all of the masks, the earlier ones moved. What is outside changes no number, only the time it takes."""
    x1, y1, x2, y2 = _box(earlier)
    corners = step @ np.array([[x1, x2, x1, x2], [y1, y1, y2, y2], [1, 1, 1, 1]], np.float64)
    low, high = np.floor(corners.min(axis=1)).astype(int) - 1, np.ceil(corners.max(axis=1)).astype(int) + 1
    x1, y1, x2, y2 = _box(later)
    return slice(max(min(low[1], y1), 0), max(high[1], y2)), slice(max(min(low[0], x1), 0), max(high[0], x2))


def _box(masks: Iterable[BoolArray]) -> tuple[int, int, int, int]:
    first, second = masks
    x, y, width, height = opencv().boundingRect((first | second).view(np.uint8))
    return x, y, x + width, y + height


def _moved(mask: BoolArray, step: F64Array, window: tuple[slice, slice]) -> U8Array:
    """uint8, 0 to 255: the mask bool (H, W), moved; bilinear, inside the window."""
    rows, columns = (part.indices(side) for part, side in zip(window, mask.shape, strict=True))
    placed = step - np.array([[0, 0, columns[0]], [0, 0, rows[0]]])
    pixels: U8Array = opencv().warpAffine(mask.astype(np.uint8) * np.uint8(_WHITE), placed, (columns[1] - columns[0], rows[1] - rows[0]))
    return pixels


def _change(before: U8Array, now: BoolArray, comparable: BoolArray) -> float | None:
    earlier, later = (before > _WHITE // 2) & comparable, now & comparable
    union = np.count_nonzero(earlier | later)
    return 1 - np.count_nonzero(earlier & later) / union if union else None
