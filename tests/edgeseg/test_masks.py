"""Soft masks against full-frame bilinear resizing, run-length code against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pycocotools import mask as coco

from edgeseg.families.yolact import soft_mask
from edgeseg.masks import SoftMask, SoftMasks, grid_mask


def full_frame(prototypes, coefficients, box, image_hw):
    """The original's way: assemble at prototype size, crop with 0/1, resize the whole frame."""
    height, width, _ = prototypes.shape
    soft = torch.sigmoid(torch.from_numpy(prototypes @ coefficients))
    x1, x2 = sorted((np.float32(box[0]) * np.float32(width), np.float32(box[2]) * np.float32(width)))
    y1, y2 = sorted((np.float32(box[1]) * np.float32(height), np.float32(box[3]) * np.float32(height)))
    x, y = torch.arange(width).float(), torch.arange(height).float()
    keep_x = (x >= max(x1 - 1, 0)) & (x < min(x2 + 1, width))
    keep_y = (y >= max(y1 - 1, 0)) & (y < min(y2 + 1, height))
    cropped = soft * keep_y[:, None] * keep_x[None]
    return torch.nn.functional.interpolate(cropped[None, None], image_hw, mode="bilinear", align_corners=False)[0, 0].numpy()


BOXES = {
    "inside": (0.2, 0.3, 0.6, 0.8),
    "whole picture": (0.0, 0.0, 1.0, 1.0),
    "over the edge": (-0.3, -0.2, 0.4, 0.5),
    "over the far edge": (0.7, 0.6, 1.4, 1.2),
    "corners swapped": (0.6, 0.8, 0.2, 0.3),
    "thin": (0.5, 0.1, 0.502, 0.9),
    "outside": (1.2, 1.2, 1.5, 1.5),
    "outside on the near side": (-0.5, -0.5, -0.2, -0.2),
}


@pytest.mark.parametrize("image_hw", [(480, 640), (97, 61), (1, 1), (20, 300), (1080, 1920)])
@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES.keys())
def test_soft_mask_equals_full_frame_bilinear(box, image_hw):
    """Pasting only inside the window gives the mask that resizing the whole frame gives."""
    rng = np.random.default_rng(3)
    prototypes = np.maximum(rng.normal(size=(34, 46, 8)), 0).astype(np.float32)
    coefficients = rng.normal(size=8).astype(np.float32)
    expected = full_frame(prototypes, coefficients, box, image_hw)

    mask = soft_mask(prototypes, coefficients, np.array(box, np.float32), image_hw)
    pasted = SoftMasks((mask,), image_hw).paste(0)

    # Only pixels whose value lies on the threshold itself may fall either way.
    certain = np.abs(expected - 0.5) > 1e-5
    assert (pasted == (expected > 0.5))[certain].all()
    assert certain.mean() > 0.99


@pytest.mark.parametrize("image_hw", [(250, 330), (7, 9), (20, 20)])
def test_every_level_of_a_soft_mask_is_where_full_frame_bilinear_has_it(image_hw):
    """Scaling the values moves the contour through all levels, borders of the crop included; it stays where it belongs."""
    rng = np.random.default_rng(4)
    values = rng.random((9, 7)).astype(np.float32)
    grid = np.zeros((20, 20), np.float32)
    grid[5:14, 11:18] = values
    expected = torch.nn.functional.interpolate(torch.from_numpy(grid)[None, None], image_hw, mode="bilinear")[0, 0].numpy()

    for level in np.linspace(0.5, 0.95, 10):
        mask = grid_mask(values * np.float32(0.5 / level), (11, 5), (20, 20), image_hw)
        certain = np.abs(expected - level) > 1e-5
        assert (SoftMasks((mask,), image_hw).paste(0) == (expected > level))[certain].all()


def random_crops():
    """Windows and contents that touch every border, with empty and full ones among them."""
    rng = np.random.default_rng(5)
    for k in range(300):
        height, width = rng.integers(1, 40, 2)
        h, w = rng.integers(0, height + 1), rng.integers(0, width + 1)
        y, x = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
        inside = rng.random((h, w)) < (0.0, 0.5, 0.9, 1.0)[k % 4]
        yield int(y), int(x), inside, (int(height), int(width))


def pixel_mask(y, x, inside):
    """A mask whose grid cells are pixels, so that it is exactly ``inside``."""
    window = (x, y, x + inside.shape[1], y + inside.shape[0])
    return SoftMask(inside.astype(np.float32), tuple(map(float, window)), window)


def test_rle_equals_pycocotools():
    """Size and counts are those of pycocotools, character by character."""
    for y, x, inside, image_hw in random_crops():
        full = np.zeros(image_hw, np.uint8, order="F")
        full[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
        expected = coco.encode(full)

        rle = SoftMasks((pixel_mask(y, x, inside),), image_hw).rle(0)

        assert rle == {"size": list(expected["size"]), "counts": expected["counts"].decode()}


def test_rle_of_a_large_mask():
    """Counts over 2**15, which take several characters, come out right."""
    full = np.zeros((2160, 3840), np.uint8, order="F")
    full[500:1900, 700:3000] = 1
    masks = SoftMasks((SoftMask(np.ones((1, 1), np.float32), (0.0, 0.0, 3840.0, 2160.0), (700, 500, 3000, 1900)),), (2160, 3840))

    assert masks.rle(0)["counts"].encode() == coco.encode(full)["counts"]


# pycocotools' decoder predates NumPy 2.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("image_hw", [(480, 640), (97, 61), (5, 7), (1, 1), (20, 300)])
@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES.keys())
def test_rle_is_the_pasted_mask(box, image_hw):
    """Runs found by solving for crossings hold the pixels that evaluating each of them gives, enlarged or reduced."""
    rng = np.random.default_rng(6)
    for _ in range(5):
        prototypes = np.maximum(rng.normal(size=(34, 46, 8)), 0).astype(np.float32)
        mask = soft_mask(prototypes, rng.normal(size=8).astype(np.float32), np.array(box, np.float32), image_hw)
        masks = SoftMasks((mask,), image_hw)
        rle = masks.rle(0)

        decoded = coco.decode({"size": rle["size"], "counts": rle["counts"].encode()}).astype(bool)

        assert rle["counts"].encode() == coco.encode(np.asfortranarray(decoded, np.uint8))["counts"]
        assert (decoded != masks.paste(0)).mean() <= 1e-5


def test_select_by_index_and_by_mask():
    """Both kinds of index pick the same masks."""
    masks = SoftMasks(tuple(grid_mask(np.full((2, 2), v, np.float32), (0, 0), (4, 4), (8, 8)) for v in (0.1, 0.9, 0.8)), (8, 8))

    assert masks.select(np.array([2, 1])).masks == (masks.masks[2], masks.masks[1])
    assert len(masks.select(np.array([False, True, False]))) == 1
