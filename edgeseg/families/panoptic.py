"""Panoptic models (UPSNet, VPSNet): detections and semantic logits become a panoptic map, its things instances too.

The names of the graph's tensors are constants here; the exporter imports them, so the two sides cannot drift.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeseg.bundle import Bundle
from edgeseg.candidates import Candidates
from edgeseg.errors import BundleError
from edgeseg.families.base import KEY, Decoded
from edgeseg.geometry import FITS, Fit
from edgeseg.opencv import opencv
from edgeseg.ops.boxes import descending_order
from edgeseg.ops.panoptic import Detections, SlotMap, Verdicts, panoptic_head, vote
from edgeseg.regions import things_of
from edgeseg.types import AnyArray, I32Array, I64Array, Label, Panoptic, Segment, SizeHW

NAME = "panoptic"
BOXES = "boxes"
"""float32 (N, 4): corners in pixels of the network's input, as the panoptic head gets them: best first, class-agnostic suppression done."""
SCORES = "scores"
"""float32 (N,): descending; -1 in rows without a detection."""
CLASSES = "classes"
"""int64 (N,): places in the labels, which are stuff first, then things."""
MASK_LOGITS = "mask_logits"
"""float32 (N, 28, 28): raw logits of the row's class inside its box."""
SEMANTIC = "semantic"
"""float32 (C, PH / 4, PW / 4): logits of all labels; PH and PW are the input's sides, up to multiples of 32."""
EMBEDDINGS = "embeddings"
"""float32 (N, D): what the track head, if there is one, makes of each row; in row 0 of the first pixel where nothing is detected."""

BSF, CARRIED_IMAGE = "bsf", "carried_image"
"""float32 (1, C, H / 4, W / 4): a frame's balanced features before fusing, and its picture as the graph got it; of models that fuse."""
REFERENCE_BSF, REFERENCE_IMAGE = "reference_bsf", "reference_image"
"""The same of the frame before, as inputs of the graph that fuses."""

VOID, STUFF_AREA_LIMIT = "void", "stuff_area_limit"
"""Settings of a bundle: whether the unknown class competes; pixels of the picture below which a stuff class becomes void."""

STUFF_SCORE = 1.0
"""What a stuff segment has for a score: the model gives it none."""


class PanopticFamily:
    """Head, vote and stuff area limit as in UPSNet and VPSNet, at the size of the padded input, then at the picture's.

    In the map, stuff has the number of its class + 1, and a thing the number of labels + 1 + its place in the head; both are
    stable from one run to the next, and only within one frame. Where nothing is detected, the originals enter an instance of no
    class that wins where all stuff is unlikely; its pixels are here of the last stuff class, without an instance.
    """

    name = NAME
    outputs: tuple[str, ...] = (BOXES, SCORES, CLASSES, MASK_LOGITS, SEMANTIC)
    dense: tuple[str, ...] = (SEMANTIC,)
    fits: tuple[str, ...] = tuple(FITS)

    def __init__(self, labels: tuple[Label, ...] = (), *, void: bool = True, stuff_area_limit: int = 0) -> None:
        self._labels = labels
        self._stuff = sum(not label.is_thing for label in labels)
        self._void = void
        self._limit = stuff_area_limit

    def configured(self, bundle: Bundle) -> PanopticFamily:
        """The family with a bundle's labels and its settings `VOID` and `STUFF_AREA_LIMIT`, both of which it must have."""
        things = [label.is_thing for label in bundle.labels]
        _require(bundle, things == sorted(things), "a thing before stuff in its labels")
        void, limit = bundle.settings.get(VOID), bundle.settings.get(STUFF_AREA_LIMIT)
        _require(bundle, isinstance(void, bool), f"setting {VOID!r} {void!r}, which is neither true nor false")
        _require(bundle, type(limit) is int and limit >= 0, f"setting {STUFF_AREA_LIMIT!r} {limit!r}, which is no number of pixels")
        graph = bundle.graphs.get(KEY)
        for spec in graph.outputs if graph is not None else ():
            wrong = spec.name == SEMANTIC and (len(spec.shape) != 3 or spec.shape[0] != len(bundle.labels))
            _require(bundle, not wrong, f"{len(bundle.labels)} labels but an output {spec}")
        return PanopticFamily(bundle.labels, void=bool(void), stuff_area_limit=int(limit or 0))

    def decode(self, outputs: Mapping[str, AnyArray], fit: Fit, score_threshold: float) -> Decoded:
        """The map of the picture, its things as instances, and what they were chosen from: detections above the threshold.

        Raises:
            BundleError: a detection is of a class that is not among the things.
        """
        semantic = outputs[SEMANTIC]
        rows = self._rows(outputs, score_threshold)
        detections = Detections(
            outputs[BOXES][rows], outputs[SCORES][rows], outputs[CLASSES][rows] - self._stuff + 1, outputs[MASK_LOGITS][rows]
        )
        found = panoptic_head(semantic, self._stuff, detections, self._void, fit.covered_hw)
        found = SlotMap(_nearest(found.ids, fit.image_hw), found.classes, found.kept, _nearest(found.semantic, fit.image_hw))
        verdicts = vote(found, self._stuff, len(semantic))
        panoptic = self._panoptic(found, verdicts, detections)
        embeddings = outputs.get(EMBEDDINGS)
        candidates = Candidates(
            boxes=detections.boxes,
            scores=detections.scores,
            classes=outputs[CLASSES][rows].astype(np.int64),
            embeddings=None if embeddings is None else embeddings[rows],
            kept=found.kept,
            rows=verdicts.stays,
            present=verdicts.present[verdicts.present < len(found.kept)],
            stand_in=None if embeddings is None or outputs[SCORES][0] > 0 else embeddings[0],
        )
        return Decoded(things_of(panoptic), panoptic, candidates)

    def _rows(self, outputs: Mapping[str, AnyArray], score_threshold: float) -> I64Array:
        """The rows above the threshold with a box of numbers, best first."""
        kept = np.flatnonzero((outputs[SCORES] > max(score_threshold, 0.0)) & np.isfinite(outputs[BOXES]).all(axis=1))
        classes, labels = outputs[CLASSES][kept], len(outputs[SEMANTIC])
        if len(kept) and not self._stuff <= classes.min() <= classes.max() < labels:
            things = f"the labels {self._stuff} to {labels - 1}"
            raise BundleError(f"the bundle's things are {things}, but its graph gave another class. Export the model again.")
        return kept[descending_order(outputs[SCORES][kept])]

    def _panoptic(self, found: SlotMap, verdicts: Verdicts, detections: Detections) -> Panoptic:
        """The map and its segments: things in the order of their slots, then stuff by class, as far as it has enough pixels."""
        slots, first = len(found.classes), len(self._labels) + 1
        # Counts of stuff, then of slots. Numbers of the same, and of void, which as -1 is the last.
        pixels = np.bincount((found.ids + 1).reshape(-1), minlength=self._stuff + slots + 1)[1:]
        numbers = np.zeros(self._stuff + slots + 1, np.int32)
        becomes = (verdicts.labels >= 0) & (verdicts.labels < self._stuff)
        converted, label_of = self._stuff + verdicts.present[becomes], verdicts.labels[becomes]
        area = pixels[: self._stuff].copy()
        np.add.at(area, label_of, pixels[converted])
        left = np.flatnonzero((area > 0) & (area >= self._limit))
        numbers[left] = left + 1
        numbers[converted] = numbers[label_of]
        numbers[self._stuff + verdicts.stays] = first + verdicts.stays
        things = (self._thing(first + slot, found, slot, detections, int(pixels[self._stuff + slot])) for slot in verdicts.stays.tolist())
        stuff = (Segment(label + 1, label, False, STUFF_SCORE, int(area[label])) for label in left.tolist())
        return Panoptic(np.take(numbers, found.ids), (*things, *stuff))

    def _thing(self, number: int, found: SlotMap, slot: int, detections: Detections, area: int) -> Segment:
        score = float(detections.scores[found.kept[slot]])
        return Segment(number, self._stuff - 1 + int(found.classes[slot]), True, score, area)


def _nearest(ids: I32Array, image_hw: SizeHW) -> I32Array:
    """int32 (H, W): a map at the picture's size."""
    if ids.shape == image_hw:
        return ids
    cv2 = opencv()
    return np.asarray(cv2.resize(ids, image_hw[::-1], interpolation=cv2.INTER_NEAREST), np.int32)


def _require(bundle: Bundle, condition: bool, what: str) -> None:
    if not condition:
        raise BundleError(f"{bundle.path} has {what}. Export the model again.")
