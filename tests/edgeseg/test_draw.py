"""Annotated pictures: what is painted where, and that the original stays as it was."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.draw import annotate, captioned, tiled


def test_mask_is_blended_inside_and_nowhere_else(make_frame, make_result):
    """Inside the mask the picture shines through the colour; beyond box and label it is untouched; the input is not changed."""
    frame = make_frame()
    before = frame.pixels.copy()

    image = annotate(frame.pixels, make_result([(20, 40, 60, 80)]))

    assert np.array_equal(before, frame.pixels)
    assert image.shape == before.shape
    assert image.dtype == np.uint8
    inside = image[60, 40].astype(float)
    colour = (inside - 100 * 0.55) / 0.45
    assert not np.array_equal(inside, before[60, 40])
    assert (colour > -2).all()
    assert (colour < 257).all()
    assert np.array_equal(image[82:], before[82:])
    assert np.array_equal(image[:20], before[:20])
    assert np.array_equal(image[:, 118:], before[:, 118:])


def test_colour_goes_by_class_and_by_track_where_there_is_one(make_frame, make_result):
    """Two instances of a class share a colour; two tracks of a class do not; a track keeps its colour when its class changes."""
    boxes = [(5, 50, 25, 90), (50, 50, 70, 90)]
    frame = make_frame()

    def colours(**options):
        image = annotate(frame.pixels, make_result(boxes, **options))
        return image[80, 15].tolist(), image[80, 60].tolist()

    one, other = colours(classes=[0, 0])
    tracked_one, tracked_other = colours(classes=[0, 0], track_ids=[4, 9])

    assert one == other
    assert tracked_one != tracked_other
    assert colours(classes=[1, 0], track_ids=[4, 9]) == (tracked_one, tracked_other)


def test_best_instance_lies_on_top(make_frame, make_result):
    """Where two masks cover the same pixels, the higher score is painted last."""
    frame = make_frame()
    alone = annotate(frame.pixels, make_result([(20, 30, 90, 90)], classes=[0]))
    both = annotate(frame.pixels, make_result([(20, 30, 90, 90), (20, 30, 90, 90)], classes=[0, 1]))
    other = annotate(frame.pixels, make_result([(20, 30, 90, 90)], classes=[1]))

    assert abs(both[70, 60].astype(int) - alone[70, 60]).sum() < abs(both[70, 60].astype(int) - other[70, 60]).sum()


def test_label_stands_above_the_box_or_inside_where_there_is_no_room(make_frame, make_result):
    """The label fills a strip above the box; at the top edge of the picture it moves inside."""
    frame = make_frame()

    above = annotate(frame.pixels, make_result([(20, 40, 120, 90)]))
    inside = annotate(frame.pixels, make_result([(20, 2, 120, 90)]))

    assert (above[30:38, 22:60] != frame.pixels[30:38, 22:60]).any(axis=2).all()
    assert np.array_equal(inside[:2], frame.pixels[:2])


@pytest.mark.parametrize("hw", [(1, 1), (2, 3), (9, 300), (300, 9), (40, 40)])
def test_tiny_and_thin_pictures_are_annotated(make_frame, make_result, hw):
    """No size of picture is too small, whatever does not fit is left out."""
    image = annotate(make_frame(hw=hw).pixels, make_result([(0, 0, hw[1], hw[0])], hw=hw))

    assert image.shape == (*hw, 3)
    assert not np.array_equal(image, make_frame(hw=hw).pixels)


def test_boxes_beyond_the_picture_and_empty_masks_do_no_harm(make_frame, make_result):
    """A mask without pixels paints none."""
    image = annotate(make_frame().pixels, make_result([(128, 96, 128, 96)]))

    assert np.array_equal(image[:60, :60], make_frame().pixels[:60, :60])


def test_nothing_found_gives_the_picture_back(make_frame, make_result):
    """Without instances the copy equals the picture."""
    frame = make_frame()

    image = annotate(frame.pixels, make_result([]))

    assert np.array_equal(image, frame.pixels)
    assert not np.shares_memory(image, frame.pixels)


def test_a_caption_stands_above_the_picture() -> None:
    """The picture itself is unchanged below a band with a mark in the colour."""
    image = np.full((120, 200, 3), 90, np.uint8)

    panel = captioned(image, "warp 3.1 ms", (10, 200, 30))

    assert np.array_equal(panel[16:], image)
    assert panel[:16].shape == (16, 200, 3)
    assert panel[8, 8].tolist() == [10, 200, 30]
    assert (panel[:16, 20:] > 200).any()


@pytest.mark.parametrize(("count", "columns", "hw"), [(1, 2, (4, 12)), (2, 2, (4, 12)), (3, 2, (8, 12)), (4, 2, (8, 12)), (3, 3, (4, 18))])
def test_tiles_stand_in_rows(count: int, columns: int, hw: tuple[int, int]) -> None:
    """From the top left; places without a picture are black."""
    panels = [np.full((4, 6, 3), 1 + i, np.uint8) for i in range(count)]

    tiles = tiled(panels, columns)

    assert tiles.shape[:2] == hw
    for i in range(hw[0] // 4 * columns):
        row, column = divmod(i, columns)
        assert np.unique(tiles[4 * row : 4 * row + 4, 6 * column : 6 * column + 6]).tolist() == [1 + i if i < count else 0]
