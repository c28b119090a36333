"""Panoptic maps painted over pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeseg.draw import annotate
from edgeseg.draw_panoptic import annotate_panoptic, colour_of
from edgeseg.draw_style import Lettering
from edgeseg.types import Label, Panoptic, Result, Segment, Step

LABELS = (Label("sky", 1, is_thing=False), Label("floor", 2, is_thing=False), Label("cat", 3), Label("dog", 4))
SKY, FLOOR = Segment(1, 0, False, 1.0, 0), Segment(2, 1, False, 1.0, 0)
CAT, DOG = Segment(10, 2, True, 0.9, 0, track_id=3), Segment(11, 3, True, 0.8, 0, track_id=4)
HW = (200, 300)


def scene(*segments, void=False):
    """Sky over floor, with the other segments as squares side by side."""
    ids = np.full(HW, SKY.id, np.int32)
    ids[100:] = FLOOR.id
    things = [segment for segment in segments if segment.is_thing]
    for k, segment in enumerate(things):
        ids[60:160, 20 + 90 * k : 90 + 90 * k] = segment.id
    if void:
        ids[180:] = 0
    return Panoptic(ids, tuple(replace(s, area=int((ids == s.id).sum())) for s in (*things, SKY, FLOOR)))


@pytest.fixture
def grey():
    """A picture of one grey."""
    return np.full((*HW, 3), 110, np.uint8)


def test_every_pixel_is_tinted_by_its_segment_and_void_is_left_alone(grey):
    """Two things, sky and floor differ; void keeps its pixels; the input is not changed."""
    image = annotate_panoptic(grey, scene(CAT, DOG, void=True), LABELS)

    colours = {tuple(image[y, x].tolist()) for y, x in ((10, 10), (120, 290), (150, 30), (150, 120))}
    assert len(colours) == 4
    assert (110, 110, 110) not in colours
    assert (image[185:] == 110).all()
    assert (grey == 110).all()


def test_annotate_paints_the_map_where_there_is_one(grey):
    """The overlay of a result with a map is that of the map, whatever instances say."""
    panoptic = scene(CAT)
    result = Result(0, Step.KEY, LABELS, HW, panoptic=panoptic)

    assert np.array_equal(annotate(grey, result), annotate_panoptic(grey, panoptic, LABELS))


def test_colours_are_the_same_in_all_frames():
    """A thing keeps its colour by track id, whatever its number, class and place; without one it has its class's; stuff has its class's."""
    assert colour_of(CAT, LABELS) == colour_of(replace(DOG, id=99, track_id=3), LABELS)
    assert colour_of(CAT, LABELS) != colour_of(DOG, LABELS)
    assert colour_of(replace(CAT, track_id=None), LABELS) == colour_of(replace(CAT, id=7, track_id=None), LABELS)
    assert colour_of(SKY, LABELS) == colour_of(replace(SKY, id=50, area=3), LABELS)
    assert colour_of(SKY, LABELS) != colour_of(FLOOR, LABELS)


def test_sky_is_blue_and_stuff_is_calmer_than_things():
    """Stuff whose name tells its colour has it; its colours are less saturated than those of things."""
    blue, green, red = colour_of(SKY, LABELS)

    assert blue > green > red
    assert np.ptp(colour_of(FLOOR, LABELS)) < 70 < np.ptp(colour_of(CAT, LABELS))


def test_borders_are_marked(grey):
    """Two things of one class and colour are told apart by a line; so are the pieces of ground."""
    twin = replace(CAT, id=12)
    ids = np.full(HW, CAT.id, np.int32)
    ids[:, 150:] = twin.id
    panoptic = Panoptic(ids, (replace(CAT, area=30_000), replace(twin, area=30_000)))

    image = annotate_panoptic(grey, panoptic, LABELS)

    line = image[5, 140:160].astype(int).sum(axis=1)
    assert line[0] == line[-1]
    assert line.max() > line[0] + 100


def test_names_stand_inside_or_beside(grey):
    """A thing's name is on it where it fits and over it where not; without room it is left out; tiny things have none."""

    def changed(panoptic):
        plain = annotate_panoptic(grey, Panoptic(panoptic.ids, tuple(replace(s, area=0) for s in panoptic.segments)), LABELS)
        return (annotate_panoptic(grey, panoptic, LABELS) != plain).any(axis=2)

    big, small = scene(CAT), np.full(HW, SKY.id, np.int32)
    named = changed(big)
    assert named[62:158, 22:88].any()

    small[100:112, 150:162] = CAT.id
    above = changed(Panoptic(small, (replace(CAT, area=144),)))
    y, x = np.nonzero(above)
    assert y.max() < 100
    assert abs(x.mean() - 156) < 5
    tiny = Panoptic(small, (replace(CAT, area=10),))
    assert not changed(tiny).any()


def test_labels_have_places_of_their_own(grey, monkeypatch):
    """On random maps no label lies on another or beyond the picture, and that of stuff lies on its stuff."""
    painted = []
    monkeypatch.setattr(Lettering, "fill", lambda self, _image, text, at, _colour: painted.append((text, at, self.box_of(text))))
    monkeypatch.setattr(Lettering, "outline", lambda self, _image, text, at: painted.append((text, at, self.box_of(text))))
    rng = np.random.default_rng(3)
    for _ in range(60):
        ids = scene().ids
        things = []
        for number in range(10, 22):
            y, x, height, width = (int(v) for v in (*rng.integers(-20, [190, 290]), *rng.integers(5, 90, 2)))
            ids[max(y, 0) : y + height, max(x, 0) : x + width] = number
            things.append(Segment(number, 2, True, 0.9, 0, track_id=number))
        panoptic = Panoptic(ids, tuple(replace(s, area=int((ids == s.id).sum())) for s in (*things, SKY, FLOOR)))
        painted.clear()

        annotate_panoptic(grey, panoptic, LABELS)

        taken = np.zeros(HW, int)
        for text, (x, y), (width, height) in painted:
            assert 0 <= x <= HW[1] - width
            assert 0 <= y <= HW[0] - height
            taken[y : y + height, x : x + width] += 1
            if text in ("sky", "floor"):
                assert (ids[y : y + height, x : x + width] == (SKY if text == "sky" else FLOOR).id).all()
        assert painted
        assert taken.max() == 1


@pytest.mark.parametrize("hw", [(1, 1), (2, 3), (9, 300), (300, 9), (40, 40)])
def test_tiny_and_thin_maps_are_painted(hw):
    """No size is too small."""
    panoptic = Panoptic(np.full(hw, 10, np.int32), (replace(CAT, area=hw[0] * hw[1]),))

    image = annotate_panoptic(np.full((*hw, 3), 100, np.uint8), panoptic, LABELS)

    assert image.shape == (*hw, 3)
    assert (image != 100).any()


def test_hundreds_of_segments_and_none_are_painted(grey):
    """More segments than a byte counts, and a map of void."""
    ids = np.arange(1, HW[0] * HW[1] + 1, dtype=np.int32).reshape(HW) // 150 + 1
    many = tuple(Segment(n, 2, True, 0.5, 150, track_id=n) for n in np.unique(ids).tolist())

    image = annotate_panoptic(grey, Panoptic(ids, many), LABELS)

    assert len(many) > 300
    assert (image != 110).any(axis=2).all()
    assert np.array_equal(annotate_panoptic(grey, Panoptic(np.zeros(HW, np.int32), ()), LABELS), grey)
