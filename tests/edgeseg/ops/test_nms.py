"""Fast NMS against cases worked out by hand, and against a direct transcription of its definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeseg.ops.boxes import box_iou
from edgeseg.ops.nms import Kept, NmsSettings, fast_nms

SETTINGS = NmsSettings()
CROSS = NmsSettings(cross_class=True)
# Each overlaps its neighbour by 2/3 and the next but one by less than 1/2.
ROW = np.array([[0, 0, 5, 1], [1, 0, 6, 1], [2, 0, 7, 1], [20, 0, 25, 1]], np.float32)


def _conf(*foreground: list[float]) -> np.ndarray:
    rows = np.array(foreground, np.float32)
    return np.concatenate([1 - rows.sum(axis=1, keepdims=True), rows], axis=1)


def _listed(kept: Kept) -> list[tuple[int, int, float]]:
    return [(int(p), int(c), round(float(s), 4)) for p, c, s in zip(kept.priors, kept.classes, kept.scores, strict=True)]


def test_a_suppressed_box_still_suppresses() -> None:
    """What makes it fast: the second box falls to the first, the third to the second although that is gone."""
    kept = fast_nms(ROW, _conf([0.9], [0.8], [0.7], [0.6]), SETTINGS)

    assert _listed(kept) == [(0, 0, 0.9), (3, 0, 0.6)]


def test_an_overlap_of_exactly_the_threshold_is_kept() -> None:
    """The comparison is strict."""
    boxes = np.array([[0, 0, 2, 1], [0, 0, 1, 1]], np.float32)

    assert len(fast_nms(boxes, _conf([0.9], [0.8]), SETTINGS).priors) == 2
    assert len(fast_nms(boxes, _conf([0.9], [0.8]), replace(SETTINGS, iou_threshold=0.49)).priors) == 1


def test_classes_do_not_suppress_each_other() -> None:
    """Unless asked to: then only the best class of a box counts."""
    conf = _conf([0.5, 0.3], [0.1, 0.6], [0.0, 0.0], [0.0, 0.06])

    assert _listed(fast_nms(ROW, conf, SETTINGS)) == [(1, 1, 0.6), (0, 0, 0.5), (3, 1, 0.06), (3, 0, 0.0)]
    assert _listed(fast_nms(ROW, conf, CROSS)) == [(1, 1, 0.6), (3, 1, 0.06)]


def test_a_candidate_is_one_for_all_classes() -> None:
    """A box that passes for one class is kept for another far below the threshold."""
    assert _listed(fast_nms(ROW[:1], _conf([0.9, 0.01]), SETTINGS)) == [(0, 0, 0.9), (0, 1, 0.01)]


def test_a_score_at_the_threshold_is_no_candidate() -> None:
    """The comparison is strict."""
    conf = _conf([0.05], [0.0], [0.0], [0.051])

    assert _listed(fast_nms(ROW, conf, SETTINGS)) == [(3, 0, 0.051)]


@pytest.mark.parametrize("settings", [SETTINGS, CROSS])
@pytest.mark.parametrize("count", [0, 4])
def test_without_candidates_nothing_is_kept(settings: NmsSettings, count: int) -> None:
    """Empty columns, no error."""
    kept = fast_nms(ROW[:count], np.full((count, 3), 0.01, np.float32), settings)

    assert (len(kept.priors), len(kept.classes), len(kept.scores)) == (0, 0, 0)


def test_the_limits_hold() -> None:
    """top_k boxes of each class enter, max_detections leave; across classes only top_k counts."""
    boxes = np.array([[i, 0, i + 0.5, 1] for i in range(6)], np.float32)
    conf = _conf(*([0.1 + 0.05 * i, 0.1] for i in range(6)))

    assert len(fast_nms(boxes, conf, replace(SETTINGS, top_k=2)).priors) == 4
    assert _listed(fast_nms(boxes, conf, replace(SETTINGS, max_detections=2))) == [(5, 0, 0.35), (4, 0, 0.3)]
    assert len(fast_nms(boxes, conf, replace(CROSS, top_k=5, max_detections=2)).priors) == 5


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("cross_class", [False, True])
def test_random_boxes_agree_with_the_definition(seed: int, cross_class: bool) -> None:
    """The same boxes, classes and order as plain loops over the definition."""
    random = np.random.default_rng(seed)
    low = random.uniform(0, 1, (60, 2))
    boxes = np.concatenate([low, low + random.uniform(0.1, 0.5, (60, 2))], axis=1).astype(np.float32)
    conf = random.dirichlet([6, 0.5, 0.5, 0.5], 60).astype(np.float32)
    settings = NmsSettings(top_k=15, max_detections=12, cross_class=cross_class)

    found = _listed(fast_nms(boxes, conf, settings))

    assert found == _by_definition(boxes, conf, settings)
    assert len(found) > 5


def _by_definition(boxes: np.ndarray, conf: np.ndarray, settings: NmsSettings) -> list[tuple[int, int, float]]:
    foreground = conf[:, 1:]
    candidates = [p for p in range(len(boxes)) if max(foreground[p]) > settings.score_threshold]
    if settings.cross_class:
        groups = [[(float(foreground[p].max()), p, int(foreground[p].argmax())) for p in candidates]]
    else:
        groups = [[(float(foreground[p, c]), p, c) for p in candidates] for c in range(foreground.shape[1])]
    kept = []
    for group in groups:
        ranked = sorted(group, reverse=True)[: settings.top_k]
        for rank, (score, p, c) in enumerate(ranked):
            if all(box_iou(boxes[[p]], boxes[[better]])[0, 0] <= settings.iou_threshold for _, better, _ in ranked[:rank]):
                kept.append((p, c, round(score, 4)))
    best = sorted(kept, key=lambda entry: -entry[2])
    return best if settings.cross_class else best[: settings.max_detections]
