"""Decoding and Fast NMS as they enter the graph, against the numpy references of the runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from edgeseg.ops import boxes as reference_boxes
from edgeseg.ops.nms import NmsSettings
from edgeseg.ops.nms import fast_nms as reference_nms
from export.nets.detect import NO_DETECTION, Detections, cropped_masks, cross_class_fast_nms, decode_boxes, fast_nms, suppressed


def _random(priors: int, labels: int, seed: int, certainty: float) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping boxes (P, 4) and probabilities (P, labels + 1) of which more are background the greater the certainty."""
    random = np.random.default_rng(seed)
    low = random.uniform(-0.1, 0.9, (priors, 2))
    boxes = np.concatenate([low, low + random.uniform(0.1, 0.5, (priors, 2))], axis=1).astype(np.float32)
    return boxes, random.dirichlet([certainty, *[0.6] * labels], priors).astype(np.float32)


def _run(boxes: np.ndarray, conf: np.ndarray, settings: NmsSettings) -> Detections:
    nms = cross_class_fast_nms if settings.cross_class else fast_nms
    return nms(torch.from_numpy(boxes), torch.from_numpy(conf), settings)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("priors", "labels", "certainty", "settings"),
    [
        (300, 4, 8.0, {}),
        (300, 4, 0.5, {}),
        (300, 4, 8.0, {"cross_class": True}),
        (300, 4, 0.5, {"cross_class": True}),
        (40, 3, 2.0, {}),
        (40, 3, 2.0, {"cross_class": True}),
        (300, 1, 1.0, {}),
        (300, 1, 1.0, {"cross_class": True}),
        (300, 4, 1.0, {"top_k": 20, "max_detections": 30, "iou_threshold": 0.3, "score_threshold": 0.2}),
        (5, 2, 0.5, {"max_detections": 100}),
    ],
    ids=["few", "crowded", "few_cross", "crowded_cross", "below_top_k", "below_top_k_cross", "one", "one_cross", "settings", "below_cap"],
)
def test_nms_keeps_what_the_reference_keeps(priors: int, labels: int, certainty: float, settings: dict[str, Any], seed: int) -> None:
    """The same priors and classes with the same scores in the same order; all other rows hold no detection."""
    boxes, conf = _random(priors, labels, seed, certainty)
    chosen = NmsSettings(**settings)
    wanted = reference_nms(boxes, conf, chosen)

    found = _run(boxes, conf, chosen)

    count = len(wanted.scores)
    assert 0 < count <= len(found.scores) <= (chosen.top_k if chosen.cross_class else chosen.max_detections)
    assert found.priors[:count].tolist() == wanted.priors.tolist()
    assert found.classes[:count].tolist() == wanted.classes.tolist()
    assert found.scores[:count].tolist() == wanted.scores.tolist()
    assert np.array_equal(found.boxes[:count].numpy(), boxes[wanted.priors])
    assert (found.scores[count:] == NO_DETECTION).all()


@pytest.mark.parametrize("settings", [NmsSettings(), NmsSettings(cross_class=True)], ids=["per_class", "cross_class"])
def test_without_candidates_no_row_holds_a_detection(settings: NmsSettings) -> None:
    """Scores that only reach the threshold are none."""
    boxes, _ = _random(30, 2, 0, 1.0)
    conf = np.tile(np.array([0.9, 0.05, 0.05], np.float32), (30, 1))

    found = _run(boxes, conf, settings)

    assert (found.scores == NO_DETECTION).all()
    assert found.boxes.isfinite().all()
    assert len(reference_nms(boxes, conf, settings).scores) == 0


def test_a_candidate_is_one_for_all_classes() -> None:
    """A prior that passes for one class enters the ranking of another far below the threshold, even with score zero."""
    boxes = np.array([[0.1, 0.1, 0.3, 0.3], [0.6, 0.6, 0.9, 0.9]], np.float32)
    conf = np.array([[0.09, 0.9, 0.01], [0.4, 0.0, 0.6]], np.float32)

    found = _run(boxes, conf, NmsSettings())

    assert found.scores.tolist() == pytest.approx([0.9, 0.6, 0.01, 0.0])
    assert list(zip(found.priors.tolist(), found.classes.tolist(), strict=True)) == [(0, 0), (1, 1), (0, 1), (1, 0)]


@pytest.mark.parametrize(
    ("settings", "priors", "rows"),
    [
        (NmsSettings(), 300, 100),
        (NmsSettings(cross_class=True), 300, 200),
        (NmsSettings(), 20, 60),
        (NmsSettings(cross_class=True), 20, 20),
    ],
)
def test_the_number_of_rows_depends_on_the_net_only(settings: NmsSettings, priors: int, rows: int) -> None:
    """Static shapes: as many rows for a crowd as for an empty picture."""
    for certainty in (0.5, 500.0):
        found = _run(*_random(priors, 3, 0, certainty), settings)

        assert [tuple(part.shape) for part in found] == [(rows, 4), (rows,), (rows,), (rows,)]
        assert (found.classes.dtype, found.priors.dtype) == (torch.int64, torch.int64)


def test_suppression_looks_at_higher_ranks_of_the_same_group_only() -> None:
    """A chain of neighbours falls one to the other; a second group does not notice; the threshold itself is kept."""
    chain = torch.tensor([[0.0, 0, 5, 1], [1, 0, 6, 1], [2, 0, 7, 1], [20, 0, 25, 1]])
    half = torch.tensor([[0.0, 0, 2, 1], [0, 0, 1, 1], [8, 0, 9, 1], [8, 0, 9, 1]])

    assert suppressed(torch.stack([chain, half]), 0.5).tolist() == [[False, True, True, False], [False, False, False, True]]


def test_boxes_decode_as_in_the_reference() -> None:
    """Within float32 rounding, far outside the picture too."""
    random = np.random.default_rng(0)
    loc = random.normal(scale=4, size=(500, 4)).astype(np.float32)
    priors = random.uniform(0.05, 0.9, (500, 4)).astype(np.float32)

    found = decode_boxes(torch.from_numpy(loc), torch.from_numpy(priors)).numpy()

    np.testing.assert_allclose(found, reference_boxes.decode_boxes(loc, priors), rtol=1e-5, atol=1e-5)


def test_masks_are_cropped_to_the_cells_of_the_reference() -> None:
    """The sigmoid of the sums inside the box plus a cell, zero outside: the runtime's rule for the same box."""
    random = np.random.default_rng(1)
    low = random.uniform(-0.4, 1.1, (50, 2))
    boxes = np.concatenate([low, low + random.uniform(-0.3, 0.6, (50, 2))], axis=1).astype(np.float32)
    proto = random.uniform(0, 1, (12, 20, 3)).astype(np.float32)
    coefficients = random.normal(size=(50, 3)).astype(np.float32)

    found = cropped_masks(*map(torch.from_numpy, (proto, coefficients, boxes))).numpy()

    for box, vector, mask in zip(boxes, coefficients, found, strict=True):
        x1, x2 = reference_boxes.crop_window(box[0], box[2], 20)
        y1, y2 = reference_boxes.crop_window(box[1], box[3], 12)
        wanted = np.zeros((12, 20))
        wanted[y1:y2, x1:x2] = 1 / (1 + np.exp(-(proto[y1:y2, x1:x2] @ vector)))
        np.testing.assert_allclose(mask, wanted, atol=1e-6)


def test_the_mask_iou_is_that_of_each_rows_own_class() -> None:
    """Row i takes column classes[i] of the net's answer to mask i."""
    from export.nets.detect import predicted_mask_iou

    def net(masks: Tensor) -> Tensor:
        return masks.sum(dim=(1, 2, 3))[:, None] * 10 + torch.arange(3.0)

    masks = torch.zeros(3, 2, 2)
    masks[:, 0, 0] = torch.tensor([1.0, 2.0, 3.0])

    assert predicted_mask_iou(net, masks, torch.tensor([2, 0, 1])).tolist() == [12, 20, 31]  # type: ignore[arg-type]
