"""The anchors of both code bases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeseg.types import Label
from export.nets.panoptic.anchors import LEVEL_STRIDES, cell_anchors, level_anchors
from export.nets.panoptic.config import UPSNET, VPSNET, PanopticConfig
from export.nets.rcnn.config import level_sizes

ONE = PanopticConfig("one", (Label("thing", 1),), blocks=(1, 1, 1, 1))
TWO = replace(ONE, flavour=VPSNET)


@pytest.mark.parametrize(
    ("config", "anchors"),
    [
        (ONE, [[-22, -10, 25, 13], [-14, -14, 17, 17], [-10, -22, 13, 25]]),
        (TWO, [[-21, -9, 24, 12], [-14, -14, 17, 17], [-9, -21, 12, 24]]),
    ],
    ids=["upsnet", "vpsnet"],
)
def test_anchors_of_the_first_cell(config: PanopticConfig, anchors: list[list[int]]) -> None:
    """At a stride of 4: UPSNet rounds before it enlarges, VPSNet after."""
    assert cell_anchors(config, 4).tolist() == anchors


@pytest.mark.parametrize("stride", LEVEL_STRIDES)
def test_upsnet_rounds_at_the_strides_size(stride: int) -> None:
    """Each anchor is 8 times a box of whole pixels, around the middle of the cell."""
    anchors = cell_anchors(ONE, stride)
    sides = anchors[:, 2:] - anchors[:, :2] + 1

    assert (sides % 8 == 0).all()
    np.testing.assert_array_equal((anchors[:, :2] + anchors[:, 2:]) / 2, np.full((3, 2), (stride - 1) / 2))
    np.testing.assert_allclose(sides[:, 1] / sides[:, 0], [0.5, 1, 2], rtol=0.25)


@pytest.mark.parametrize("config", [ONE, TWO], ids=["upsnet", "vpsnet"])
def test_anchors_are_laid_out_row_by_row(config: PanopticConfig) -> None:
    """By row, column and ratio, a stride apart, on every level of the padded picture."""
    assert config.flavour in (UPSNET, VPSNET)
    for stride, grid, anchors in zip(LEVEL_STRIDES, level_sizes((90, 130)), level_anchors(config, (90, 130)), strict=True):
        laid = anchors.reshape(*grid, 3, 4)

        np.testing.assert_array_equal(laid[0, 0], cell_anchors(config, stride))
        np.testing.assert_array_equal(laid[-1, -1] - laid[0, 0], np.tile(np.array(grid[::-1] * 2) - 1, (3, 1)) * stride)
