"""Suppression in its three forms against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from export.nets.rcnn.operators import op_select
from export.nets.rcnn.select import DROPPED, candidate_select, exact_select, matrix_select
from tests.export.nets.rcnn.facts import made_up, spread

FORMS = {"operator": op_select, "exact": exact_select, "matrix": matrix_select, "candidates": candidate_select}


def _greedy(boxes: np.ndarray, ranks: np.ndarray, iou: float) -> list[int]:
    """Places of the boxes that are left of one group, best first."""
    kept: list[int] = []
    for place in sorted(np.flatnonzero(ranks > DROPPED), key=lambda k: -ranks[k]):
        if all(_iou(boxes[place], boxes[other]) <= iou for other in kept):
            kept.append(int(place))
    return kept


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    areas = [(box[2:] - box[:2]).prod() for box in (a, b)]
    union = sum(areas) - sides.prod()
    return float(sides.prod() / union) if union > 0 else 0.0


def _crowd(groups: int, count: int) -> tuple[Tensor, Tensor]:
    """Boxes (groups, count, 4) heaped on few places, and descending ranks, some of which are dropped."""
    place = made_up("select.place", groups, 6, 2, scale=40.0).repeat(1, count // 6 + 1, 1)[:, :count]
    centre = place + made_up("select.centre", groups, count, 2, scale=5.0)
    side = spread("select.side", (groups, count, 2), 10, 40)
    ranks = spread("select.rank", (groups, count), 0, 1).sort(dim=1, descending=True).values
    return torch.cat([centre - side / 2, centre + side / 2], dim=2), torch.where(
        spread("select.drop", (groups, count), 0, 1) < 0.2, DROPPED, ranks
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("iou", [0.3, 0.7])
def test_every_form_is_greedy_suppression(form: str, iou: float) -> None:
    """Boxes of one group never touch those of another, and the best of all groups come first."""
    boxes, ranks = _crowd(4, 60)
    left = [60 * group + place for group in range(4) for place in _greedy(boxes[group].numpy(), ranks[group].numpy(), iou)]
    wanted = sorted(left, key=lambda index: -ranks.flatten()[index])[:30]

    found = FORMS[form](boxes, ranks, iou, 30)

    assert found.index.tolist() == wanted
    torch.testing.assert_close(found.ranks, ranks.flatten()[wanted], rtol=0, atol=0)


@pytest.mark.parametrize("form", FORMS)
def test_a_long_chain_is_followed_to_its_end(form: str) -> None:
    """Each of 15 boxes overlaps the next alone: every other one is left."""
    x = torch.arange(15) * 4.0
    boxes = torch.stack([x, 0 * x, x + 10, 0 * x + 10], dim=1)[None]

    found = FORMS[form](boxes, torch.linspace(1, 0.1, 15)[None], 0.4, 15)

    assert found.index[found.ranks > DROPPED].tolist() == list(range(0, 15, 2))


@pytest.mark.parametrize("form", FORMS)
def test_boxes_without_area_suppress_nothing(form: str) -> None:
    """Not even each other; nor do dropped boxes."""
    boxes = torch.tensor([[[5.0, 5.0, 5.0, 5.0], [5.0, 5.0, 5.0, 5.0], [0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 9.0]]])

    found = FORMS[form](boxes, torch.tensor([[0.9, 0.8, DROPPED, 0.6]]), 0.5, 5)

    assert found.index.tolist() == [0, 1, 3, 0, 0]
    torch.testing.assert_close(found.ranks, torch.tensor([0.9, 0.8, 0.6, DROPPED, DROPPED]))


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_selected_from_nothing(form: str) -> None:
    """All ranks dropped: no row holds a box."""
    found = FORMS[form](torch.zeros(2, 3, 4), torch.full((2, 3), DROPPED), 0.5, 4)

    assert (found.index.tolist(), found.ranks.tolist()) == ([0] * 4, [pytest.approx(DROPPED)] * 4)
