"""RoIAlign as matrix products against the nets' own, and mask targets against loops over samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from edgeseg.types import Label
from export.nets.rcnn.config import STRIDES, RcnnConfig
from export.nets.rcnn.roi_align import RoiPooler
from export.training.rcnn_pool import crop_masks, pool

CONFIG = RcnnConfig("tiny", (Label("thing", 1),), blocks=(1, 1, 1, 1), level_side=56.0)
PICTURES, HEIGHT, WIDTH = 2, 96, 160


@pytest.fixture
def levels() -> list[Tensor]:
    """P2 to P5 of two pictures."""
    torch.manual_seed(0)
    return [torch.randn(PICTURES, 3, HEIGHT // stride, WIDTH // stride, requires_grad=True) for stride in STRIDES]


def _rois(count: int) -> Tensor:
    """On all levels, some of them at the border, some over it, one without area."""
    ends = torch.rand(count, 2, 2) * torch.tensor([WIDTH + 8.0, HEIGHT + 8.0])
    rois = torch.cat([ends.amin(dim=1), ends.amax(dim=1)], dim=1)
    rois[0, 2:] = rois[0, :2]
    return rois


@pytest.mark.parametrize("cells", [7, 14])
def test_pooling_is_that_of_the_net_and_so_are_its_gradients(levels: list[Tensor], cells: int) -> None:
    """All pictures' RoIs in a row, in their order; one picture may have none."""
    rois = [_rois(40), torch.zeros(0, 4)] if cells == 14 else [_rois(40), _rois(9)]
    of_net = RoiPooler(CONFIG, cells)
    wanted = torch.cat([of_net([level[i : i + 1] for level in levels], boxes) for i, boxes in enumerate(rois)])
    chance = torch.randn_like(wanted)
    wanted_gradients = torch.autograd.grad((wanted * chance).sum(), levels)

    found = pool(levels, rois, CONFIG, cells)
    gradients = torch.autograd.grad((found * chance).sum(), levels)

    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    for mine, theirs in zip(gradients, wanted_gradients, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-4)


def test_pictures_without_rois_pool_to_nothing(levels: list[Tensor]) -> None:
    """And still give gradients: zeros."""
    found = pool(levels, [torch.zeros(0, 4)] * PICTURES, CONFIG, 7)
    found.sum().backward()

    assert tuple(found.shape) == (0, 3, 7, 7)
    assert all(level.grad is not None and not level.grad.any() for level in levels)


def _by_loops(mask: np.ndarray, roi: np.ndarray) -> np.ndarray:
    """Four samples a cell; the centre of pixel 0 is at 0.5, and outside there is nothing."""
    padded = np.pad(mask, 1)
    crop = np.zeros((28, 28))
    for row in range(56):
        for column in range(56):
            x = roi[0] + (roi[2] - roi[0]) * (column + 0.5) / 56 + 0.5
            y = roi[1] + (roi[3] - roi[1]) * (row + 0.5) / 56 + 0.5
            left, top = int(np.floor(x)), int(np.floor(y))
            a, b = x - left, y - top
            above = padded[top, left] * (1 - a) + padded[top, left + 1] * a
            below = padded[top + 1, left] * (1 - a) + padded[top + 1, left + 1] * a
            crop[row // 2, column // 2] += ((1 - b) * above + b * below) / 4
    return crop


def test_mask_targets_are_means_of_samples() -> None:
    """Larger and smaller than the crop, in the middle and at the picture's corner."""
    random = np.random.default_rng(0)
    masks = random.random((3, 20, 30)).astype(np.float32)
    rois = np.array([[4.3, 2.1, 17.9, 12.4], [0, 0, 30, 20], [25.5, 15, 30, 20]], np.float32)

    found = crop_masks(torch.from_numpy(masks), torch.from_numpy(rois)).numpy()

    for k in range(3):
        np.testing.assert_allclose(found[k], _by_loops(masks[k], rois[k]), atol=1e-5)


def test_a_box_that_its_object_fills_has_a_full_mask() -> None:
    """And half of it, where the object ends in the middle."""
    mask = torch.zeros(2, 40, 40)
    mask[0, 10:30, 10:30] = 1
    mask[1, 10:30, 10:20] = 1

    found = crop_masks(mask, torch.tensor([[10.0, 10, 30, 30]] * 2))

    assert found[0, 1:-1, 1:-1].min() == 1
    assert found[1].mean() == pytest.approx(0.5, abs=0.02)
    assert (found[1, 1:-1, 1:13].min(), found[1, :, 15:].max()) == (1, 0)
