"""Box arithmetic against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.ops.boxes import box_iou, crop_window, decode_boxes, descending_order, whole_pixel_boxes


def test_zero_offsets_decode_to_the_priors() -> None:
    """A prior of centre and size becomes its two corners."""
    priors = np.array([[0.5, 0.25, 0.2, 0.1]], np.float32)

    np.testing.assert_allclose(decode_boxes(np.zeros((1, 4), np.float32), priors), [[0.4, 0.2, 0.6, 0.3]], rtol=1e-6)


def test_offsets_move_by_tenths_and_scale_by_powers() -> None:
    """Centres move by a tenth of the prior's size a unit; sizes grow by exp of a fifth a unit. Nothing is clipped."""
    priors = np.array([[0.5, 0.5, 0.5, 0.25]], np.float32)
    loc = np.array([[4, -2, 5 * np.log(4), 5 * np.log(2)]], np.float32)

    # Centre 0.7, 0.45; size 2, 0.5.
    np.testing.assert_allclose(decode_boxes(loc, priors), [[-0.3, 0.2, 1.7, 0.7]], rtol=1e-5)


def test_iou_of_known_pairs() -> None:
    """Equal, half covered, touching, apart and one inside the other."""
    a = np.array([[0, 0, 2, 2]], np.float32)
    b = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [2, 0, 4, 2], [5, 5, 6, 6], [0, 0, 1, 1]], np.float32)

    np.testing.assert_allclose(box_iou(a, b), [[1, 1 / 3, 0, 0, 0.25]], rtol=1e-6)
    np.testing.assert_allclose(box_iou(b, a), box_iou(a, b).T)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (2, 0)])
def test_iou_of_no_boxes_is_an_empty_matrix(shape: tuple[int, int]) -> None:
    """With the right number of rows and columns."""
    boxes = [np.ones((count, 4), np.float32) for count in shape]

    assert box_iou(*boxes).shape == shape


@pytest.mark.parametrize(
    ("relative", "pixels"),
    [
        ([0.25, 0.5, 0.75, 1.0], [50, 50, 150, 100]),
        ([0.2549, 0.259, 0.7599, 0.999], [50, 25, 151, 99]),
        ([0.75, 1.0, 0.25, 0.5], [50, 50, 150, 100]),
        ([-0.5, -0.1, 1.5, 2.0], [0, 0, 200, 100]),
        ([1.1, 0.0, 1.2, 1.0], [220, 0, 200, 100]),
        ([-0.3, 0.0, -0.2, 1.0], [0, 0, -40, 100]),
    ],
    ids=["plain", "truncated", "swapped", "clamped", "right_of_it", "left_of_it"],
)
def test_whole_pixel_boxes_follow_the_originals_rule(relative: list[float], pixels: list[int]) -> None:
    """Sorted, low corners clamped to zero and high ones to the image, truncated; outside ones come out inverted."""
    assert whole_pixel_boxes(np.array([relative], np.float32), (100, 200)).tolist() == [pixels]


def test_whole_pixel_boxes_of_none() -> None:
    """No boxes stay a table of four columns."""
    assert whole_pixel_boxes(np.zeros((0, 4), np.float32), (10, 10)).shape == (0, 4)


@pytest.mark.parametrize("ends", [(0.25, 0.5), (0.5, 0.25), (0.26, 0.49), (-0.5, 0.1), (0.9, 1.4), (1.2, 1.5), (-0.6, -0.3), (0.0, 1.0)])
def test_crop_window_keeps_the_cells_that_the_originals_comparison_keeps(ends: tuple[float, float]) -> None:
    """A cell c survives when c >= low - 1 and c < high + 1, in cells, clamped to the grid."""
    cells = np.arange(16)
    low, high = max(min(ends) * 16 - 1, 0), min(max(ends) * 16 + 1, 16)

    start, stop = crop_window(*ends, 16)

    assert cells[start:stop].tolist() == cells[(cells >= low) & (cells < high)].tolist()


def test_descending_order_is_stable() -> None:
    """Equal scores keep their order."""
    assert descending_order(np.array([0.25, 0.5, 0.25, 0.75, 0.5], np.float32)).tolist() == [3, 1, 4, 0, 2]
