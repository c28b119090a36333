"""Pictures that move in known ways, and masks in them."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from edgeseg.masks import SoftMask, SoftMasks
from edgeseg.types import Frame, Instances

HW = (180, 320)


@pytest.fixture
def texture() -> Callable[..., np.ndarray]:
    """``texture(seed, hw)``: a cloudy picture uint8 (H, W, 3) with detail at several sizes, different for each seed."""

    def make(seed: int = 0, hw: tuple[int, int] = HW) -> np.ndarray:
        rng = np.random.default_rng(seed)
        total = np.zeros(hw, np.float32)
        for cell, weight in ((6, 0.3), (15, 0.5), (40, 1.0)):
            field = rng.random((hw[0] // cell + 3, hw[1] // cell + 3), np.float32)
            total += weight * cv2.resize(field, (hw[1] + 2 * cell, hw[0] + 2 * cell), interpolation=cv2.INTER_CUBIC)[: hw[0], : hw[1]]
        grey = np.clip((total - total.mean()) / total.std() * 45 + 120, 0, 255)
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)

    return make


@pytest.fixture
def make_found() -> Callable[..., Instances]:
    """``make_found(boxes, hw)``: instances with elliptical masks in boxes, on cells of about 2 pixels; scores 0.9, 0.8, ..."""

    def make(boxes, hw: tuple[int, int] = HW, mask_scores: bool = False) -> Instances:
        n = len(boxes)
        scores = (0.9 - 0.1 * np.arange(n)).astype(np.float32)
        return Instances(
            boxes=np.array(boxes, np.float32).reshape(n, 4),
            scores=scores,
            classes=np.arange(n) % 3,
            masks=SoftMasks(tuple(ellipse(box, hw) for box in boxes), hw),
            track_ids=np.arange(n) + 7,
            image_hw=hw,
            mask_scores=scores * np.float32(0.5) if mask_scores else None,
        )

    return make


def ellipse(box, hw: tuple[int, int]) -> SoftMask:
    """A soft ellipse that fills a box, falling off within a few pixels of its outline."""
    x1, y1, x2, y2 = (float(v) for v in box)
    columns, rows = max(round((x2 - x1) / 2), 1), max(round((y2 - y1) / 2), 1)
    u = (np.arange(columns) + 0.5) * 2 / columns - 1
    v = (np.arange(rows) + 0.5) * 2 / rows - 1
    inside = (1 - np.hypot(u[None], v[:, None])) * min(columns, rows) / 2
    window = (max(int(x1), 0), max(int(y1), 0), min(int(np.ceil(x2)), hw[1]), min(int(np.ceil(y2)), hw[0]))
    return SoftMask((1 / (1 + np.exp(-2 * inside))).astype(np.float32), (x1, y1, x2, y2), window)


@pytest.fixture
def iou() -> Callable[[np.ndarray, np.ndarray], float]:
    """Intersection over union of two bool masks."""
    return lambda a, b: float((a & b).sum() / max((a | b).sum(), 1))


@pytest.fixture
def warped() -> Callable[..., np.ndarray]:
    """``warped(picture, matrix)``: a picture whose content moved by an affine matrix (2, 3) in pixels, (0, 0) being its corner."""

    def warp(picture: np.ndarray, matrix) -> np.ndarray:
        # OpenCV counts from the middle of the first pixel.
        matrix = np.asarray(matrix, float)
        shifted = np.c_[matrix[:, :2], matrix[:, :2] @ [0.5, 0.5] + matrix[:, 2] - 0.5]
        size = (picture.shape[1], picture.shape[0])
        return cv2.warpAffine(picture, shifted, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)

    return warp


@pytest.fixture
def pasted() -> Callable[..., np.ndarray]:
    """``pasted(ground, sprite, box)``: a picture with an ellipse of another picture's top left corner laid over a box."""

    def paste(ground: np.ndarray, sprite: np.ndarray, box) -> np.ndarray:
        x1, y1, x2, y2 = (int(v) for v in box)
        picture = ground.copy()
        v, u = np.ogrid[: y2 - y1, : x2 - x1]
        inside = np.hypot((u + 0.5) * 2 / (x2 - x1) - 1, (v + 0.5) * 2 / (y2 - y1) - 1) <= 1
        top, left = max(-y1, 0), max(-x1, 0)
        bottom, right = min(y2, picture.shape[0]) - y1, min(x2, picture.shape[1]) - x1
        part = picture[y1 + top : y1 + bottom, x1 + left : x1 + right]
        shown = inside[top:bottom, left:right]
        part[shown] = sprite[top:bottom, left:right][shown]
        return picture

    return paste


@pytest.fixture
def make_frames() -> Callable[..., list[Frame]]:
    """``make_frames(pictures)``: as frames, numbered."""
    return lambda pictures: [Frame(np.ascontiguousarray(pixels), index) for index, pixels in enumerate(pictures)]
