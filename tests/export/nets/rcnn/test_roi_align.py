"""RoIAlign against torchvision's numbers, and against a loop over samples for the rule of detectron2."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from export.nets.rcnn import roi_align
from export.nets.rcnn.config import BOX_CELLS, DETECTRON2, MASK_CELLS, TORCHVISION
from export.nets.rcnn.operators import op_align
from export.nets.rcnn.roi_align import RoiPooler, RoiSampling, exact_align, grid_align, level_thresholds, roi_levels
from tests.export.nets.rcnn.facts import PARTS, made_up, spread, standalone

HEIGHT, WIDTH = 800, 1088
FORMS = {"grid": grid_align, "exact": exact_align, "operator": op_align}


@pytest.fixture(scope="module")
def levels() -> list[Tensor]:
    """Made-up maps of P2 to P5."""
    return [made_up(f"roi.f{level}", 1, 4, HEIGHT >> (level + 2), WIDTH >> (level + 2)) for level in range(4)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cells", [BOX_CELLS, MASK_CELLS])
def test_every_form_gives_what_torchvision_gives(levels: list[Tensor], cells: int, form: str) -> None:
    """For boxes on the boundary of two levels, outside of the picture, at its edges, without area, and of all sizes."""
    wanted = standalone("roialign")

    found = RoiPooler(PARTS, cells, FORMS[form])(levels, torch.from_numpy(wanted["boxes"]))

    np.testing.assert_allclose(found, wanted[f"out{cells}"], atol=1e-4)


def test_rois_belong_to_the_levels_of_torchvision() -> None:
    """On the boundary to the coarser one, a hundredth of a pixel below it to the finer."""
    wanted = standalone("roialign")

    found = roi_levels(torch.from_numpy(wanted["boxes"]), level_thresholds(PARTS))

    assert found.tolist() == wanted["level"].tolist()


@pytest.mark.parametrize(("flavour", "inside", "outside"), [(TORCHVISION, 0.0, 1e-6), (DETECTRON2, 1e-8, 0.0)])
def test_level_boundaries_are_those_of_the_formula(flavour: object, inside: float, outside: float) -> None:
    """floor(4 + log2(side / 224 + inside) + outside), cut to 2 to 5, for squares of all sides and on the boundaries."""
    sides = np.concatenate([np.linspace(1, 1300, 5000), [112, 224, 448], np.array([112, 224, 448]) - 0.001]).astype(np.float32)
    boxes = torch.from_numpy(np.stack([0 * sides, 0 * sides, sides, sides], axis=1))
    formula = [min(max(math.floor(4 + math.log2(side / 224 + inside) + outside), 2), 5) - 2 for side in sides.tolist()]

    found = roi_levels(boxes, level_thresholds(replace(PARTS, flavour=flavour)))

    assert found.tolist() == formula


def _boxes(name: str, count: int, low: float, high: float) -> Tensor:
    """Boxes with sides from ``low`` to ``high`` pixels, in and around a picture of 256 x 320."""
    centre = spread(f"{name}.c", (count, 2), 0, 1) * torch.tensor([320, 256])
    side = torch.exp(spread(f"{name}.s", (count, 2), math.log(low), math.log(high)))
    return torch.cat([centre - side / 2, centre + side / 2], dim=1)


def _loop(features: Tensor, box: list[float], scale: float, sampling: RoiSampling) -> np.ndarray:
    """One RoI as detectron2 defines it: (C, cells, cells), by a loop over its samples."""
    values = features[0].double().numpy()
    x1, y1, x2, y2 = (np.float32(corner) * np.float32(scale) - np.float32(0.5) for corner in box)
    step_x, step_y = (x2 - x1) / np.float32(sampling.cells), (y2 - y1) / np.float32(sampling.cells)
    columns, rows = math.ceil(step_x), math.ceil(step_y)
    out = np.zeros((len(values), sampling.cells, sampling.cells))
    for i, j in np.ndindex(sampling.cells, sampling.cells):
        for k, m in np.ndindex(rows, columns):
            y, x = y1 + (i + (k + 0.5) / rows) * step_y, x1 + (j + (m + 0.5) / columns) * step_x
            out[:, i, j] += _bilinear(values, y, x) / (rows * columns)
    return out


def _bilinear(values: np.ndarray, y: float, x: float) -> np.ndarray:
    """(C,) at a point; nothing more than a cell outside of the map."""
    height, width = values.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return np.zeros(len(values))
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = values[:, top, left] * (1 - (x - left)) + values[:, top, right] * (x - left)
    lower = values[:, bottom, left] * (1 - (x - left)) + values[:, bottom, right] * (x - left)
    return upper * (1 - (y - top)) + lower * (y - top)


def _samples(box: list[float], scale: float, cells: int) -> int:
    return math.ceil((box[2] - box[0]) * scale / cells) * math.ceil((box[3] - box[1]) * scale / cells)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cells", [BOX_CELLS, MASK_CELLS])
def test_the_adaptive_rule_is_that_of_a_loop_over_samples(cells: int, form: str) -> None:
    """Aligned, with as many samples as a cell has feature cells: for boxes up to the size at which the static form begins to differ."""
    features, boxes = made_up("roi.loop", 1, 3, 64, 80), _boxes("roi.loop", 30, 2, 150)
    boxes = torch.cat([boxes, torch.tensor([[4.0, 5.0, 4.0, 60.0], [-90.0, -90.0, -20.0, -30.0], [300.0, 240.0, 330.0, 262.0]])])
    sampling = RoiSampling.of(DETECTRON2, cells)
    within = [box for box in boxes.tolist() if _samples(box, 0.25, cells) <= sampling.budget]

    found = FORMS[form](features, torch.tensor(within), 0.25, sampling)

    assert len(within) > 25
    np.testing.assert_allclose(found, np.stack([_loop(features, box, 0.25, sampling) for box in within]), atol=1e-4)


@pytest.mark.parametrize("form", ["exact", "operator"])
def test_only_the_static_form_has_a_limit(form: str) -> None:
    """RoIs that ask for more samples than its budget are still those of the loop in the other forms."""
    features, boxes = made_up("roi.loop", 1, 2, 64, 80), torch.tensor([[2.0, 3.0, 318.0, 250.0], [1.0, 100.0, 319.0, 104.0]])
    sampling = RoiSampling.of(DETECTRON2, BOX_CELLS)

    found = FORMS[form](features, boxes, 0.25, sampling)

    np.testing.assert_allclose(found, np.stack([_loop(features, box, 0.25, sampling) for box in boxes.tolist()]), atol=1e-4)


def test_the_static_form_stays_near_beyond_its_limit() -> None:
    """On a smooth map, fewer samples over the same cells give nearly the same means."""
    rows, columns = torch.meshgrid(torch.linspace(0, 6, 64), torch.linspace(0, 6, 80), indexing="ij")
    features = torch.stack([rows.sin(), columns.cos(), (rows + columns).sin()])[None]
    boxes, sampling = torch.tensor([[2.0, 3.0, 318.0, 250.0], [1.0, 100.0, 319.0, 104.0]]), RoiSampling.of(DETECTRON2, BOX_CELLS)

    difference = grid_align(features, boxes, 0.25, sampling) - exact_align(features, boxes, 0.25, sampling)

    assert 1e-6 < difference.abs().max() < 0.02


def test_every_square_roi_below_the_top_level_is_within_the_limit() -> None:
    """A square on P2 to P4 has at most 28 feature cells a side, and 28 by 28 is within the budget for boxes and for masks."""
    for cells in (BOX_CELLS, MASK_CELLS):
        assert math.ceil(28 / cells) ** 2 <= RoiSampling.of(DETECTRON2, cells).budget


def test_features_can_be_trained_through_rois() -> None:
    """The gradient of a RoI's sum reaches the cells that it covers on its level, and no others."""
    features = [torch.zeros(1, 1, 64 >> level, 64 >> level, requires_grad=True) for level in range(4)]

    RoiPooler(PARTS, BOX_CELLS)(features, torch.tensor([[40.0, 60.0, 80.0, 90.0]])).sum().backward()

    assert [bool((level.grad != 0).any()) for level in features] == [True, False, False, False]
    touched = features[0].grad[0, 0].nonzero()
    assert touched.min(dim=0).values.tolist() == [15, 10]
    assert touched.max(dim=0).values.tolist() == [23, 20]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("flavour", "empty"), [(TORCHVISION, False), (DETECTRON2, True)])
def test_only_detectron2_takes_nothing_from_a_roi_without_area(levels: list[Tensor], flavour: object, empty: bool, form: str) -> None:
    """torchvision gives it one feature cell."""
    found = RoiPooler(replace(PARTS, flavour=flavour), BOX_CELLS, FORMS[form])(levels, torch.tensor([[40.0, 50.0, 40.0, 90.0]]))

    assert (not found.any()) == empty


@pytest.mark.parametrize("align", [grid_align, exact_align])
def test_rois_of_other_levels_add_nothing(align: Callable[..., Tensor]) -> None:
    """Moved far away, they give exact zeros under both rules."""
    for flavour in (TORCHVISION, DETECTRON2):
        far = torch.tensor([roi_align.FAR_AWAY, roi_align.FAR_AWAY])
        found = align(torch.ones(1, 2, 8, 8), far, 0.25, RoiSampling.of(flavour, BOX_CELLS))
        assert not found.any()
