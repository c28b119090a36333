"""RoIAlign of both code bases against plain sampling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from export.nets.panoptic.boxes import with_ends
from export.nets.panoptic.config import UPSNET, VPSNET, Flavour
from export.nets.panoptic.roi import roi_pooler
from export.nets.rcnn.config import BOX_CELLS, MASK_CELLS, STRIDES
from export.nets.rcnn.operators import op_align
from export.nets.rcnn.roi_align import Align, grid_align, roi_levels
from tests.export.nets.panoptic import reference
from tests.export.nets.panoptic.test_anchors import ONE

FORMS = {"operator": op_align, "grid": grid_align}
HEIGHT, WIDTH = 160, 224
COUNT = 80


def _boxes(count: int) -> np.ndarray:
    """float32 (count, 4) corners of all sizes, in and around the picture, some smaller than a cell, some of one pixel."""
    random = np.random.default_rng(3)
    centre = random.uniform(-0.1, 1.1, (count, 2)) * [WIDTH, HEIGHT]
    half = np.exp(random.uniform(np.log(0.2), np.log(250), (count, 2)))
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    boxes[: count // 10, 2:] = boxes[: count // 10, :2]
    return boxes.astype(np.float32)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("cells", [BOX_CELLS, MASK_CELLS])
@pytest.mark.parametrize("flavour", [UPSNET, VPSNET], ids=["upsnet", "vpsnet"])
def test_every_form_samples_like_the_plain_loop(flavour: Flavour, cells: int, form: Align) -> None:
    """Each RoI out of the level of its size."""
    random = np.random.default_rng(4)
    levels = [random.normal(0, 1, (1, 2, HEIGHT // stride, WIDTH // stride)).astype(np.float32) for stride in STRIDES]
    boxes = _boxes(COUNT)
    pooler = roi_pooler(replace(ONE, flavour=flavour, level_side=112.0), cells, form)

    found = pooler([torch.from_numpy(level) for level in levels], with_ends(torch.from_numpy(boxes)))

    # With half the side of P4's RoIs, levels are those of boxes twice as large.
    chosen = [reference.roi_level(flavour, np.concatenate([box[:2] * 2, (box[2:] + 1) * 2 - 1])) for box in boxes]
    assert set(chosen) == {0, 1, 2, 3}
    wanted = [reference.roi(flavour, levels[k][0], box, 1 / STRIDES[k], cells) for k, box in zip(chosen, boxes, strict=True)]
    np.testing.assert_allclose(found, np.stack(wanted), atol=1e-4)


@pytest.mark.parametrize("flavour", [UPSNET, VPSNET], ids=["upsnet", "vpsnet"])
def test_level_boundaries_are_those_of_the_formula(flavour: Flavour) -> None:
    """For squares of all sides; those that are 112, 224 and 448 pixels wide, their last pixel included, belong to the coarser level."""
    sides = np.concatenate([np.linspace(1, 1300, 3000), [112, 224, 448], np.array([112, 224, 448]) - 0.01]).astype(np.float32)
    corners = np.stack([0 * sides, 0 * sides, sides - 1, sides - 1], axis=1)
    pooler = roi_pooler(replace(ONE, flavour=flavour), BOX_CELLS, grid_align)

    found = roi_levels(with_ends(torch.from_numpy(corners)), pooler.thresholds)

    assert found.tolist() == [reference.roi_level(flavour, box) for box in corners]
    assert found[3000:].tolist() == [1, 2, 3, 0, 1, 2]


@pytest.mark.parametrize(("flavour", "cells"), [(UPSNET, 1.0), (VPSNET, 0.5)], ids=["upsnet", "vpsnet"])
def test_only_upsnet_has_a_smallest_roi(flavour: Flavour, cells: float) -> None:
    """On a ramp the mean over a RoI is its middle: one feature cell there, the two pixels that it has in VPSNet."""
    ramp = torch.arange(40.0).expand(1, 1, 40, 40)
    box = torch.tensor([[40.0, 40.0, 41.0, 41.0]])

    found = roi_pooler(replace(ONE, flavour=flavour), BOX_CELLS, op_align)([ramp] * 4, with_ends(box))

    assert float(found.mean()) == pytest.approx(10 + cells / 2, abs=1e-4)
