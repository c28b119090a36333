"""The panoptic head in tiles against the plain one: the same winner of every pixel."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.ops.panoptic import VOID, Detections, head, panoptic_head, reference
from edgeseg.ops.panoptic.upsample import upsampled
from tests.edgeseg.ops.panoptic.cases import Case, case, detections

CASES = 1200


def _compare(given: Case, covered: tuple[int, int] | None = None) -> None:
    wanted = reference.panoptic_head(upsampled(given.semantic), given.stuff, given.detections, given.void)
    height, width = covered or given.hw
    found = panoptic_head(given.semantic, given.stuff, given.detections, given.void, (height, width))

    assert np.array_equal(found.ids, wanted.ids[:height, :width])
    assert found.kept.tolist() == wanted.kept.tolist()
    assert found.classes.tolist() == wanted.classes.tolist()
    instance = found.ids >= given.stuff
    assert np.array_equal(found.semantic[instance], wanted.semantic[:height, :width][instance])


@pytest.mark.parametrize("tile", [1, 3, head.TILE])
def test_every_pixel_has_the_winner_of_the_plain_form(tile: int, monkeypatch) -> None:
    """In tiles of a cell, of a few, and larger than the picture."""
    monkeypatch.setattr(head, "TILE", tile)

    for seed in range(tile, CASES, 2 if tile > 1 else 8):
        _compare(case(seed))


def test_the_cases_hold_what_is_rare() -> None:
    """No detection, all removed, equal scores, no stuff, no things, the unknown class, a part of a picture without any zero."""
    kinds = {"none": 0, "all removed": 0, "tied": 0, "no stuff": 0, "no things": 0, "void wins": 0, "far away": 0, "many": 0}
    for seed in range(200):
        given = case(seed)
        found = panoptic_head(given.semantic, given.stuff, given.detections, given.void, given.hw)
        scores = given.detections.scores
        kinds["none"] += len(scores) == 0
        kinds["all removed"] += len(scores) > 0 and not reference.mask_removal(given.detections, given.hw)[1].any()
        kinds["tied"] += len(np.unique(scores)) < len(scores)
        kinds["no stuff"] += given.stuff == 0
        kinds["no things"] += given.stuff == len(given.semantic)
        kinds["void wins"] += bool((found.ids == VOID).any())
        kinds["far away"] += len(scores) > 0 and bool((found.ids[-1] == given.stuff).all())
        kinds["many"] += len(found.kept) > 12

    assert {kind: count for kind, count in kinds.items() if count < 3} == {}


@pytest.mark.parametrize("void", [False, True])
def test_a_part_of_the_map_is_that_part(void: bool) -> None:
    """What a picture leaves free of the padded input is not looked at, down to one pixel."""
    random = np.random.default_rng(3)
    semantic = random.normal(0, 1, (6, 24, 40)).astype(np.float32)
    given = Case(semantic, 4, detections(random, 12, 2, (96, 160)), void)

    for covered in ((96, 160), (95, 157), (50, 129), (1, 1)):
        _compare(given, covered)


def test_more_instances_than_a_byte_can_count() -> None:
    """300 small objects side by side."""
    random = np.random.default_rng(0)
    corner = np.stack(np.meshgrid(np.arange(20) * 8, np.arange(15) * 8), axis=-1).reshape(-1, 2)
    boxes = np.concatenate([corner, corner + 6], axis=1).astype(np.float32)
    found = Detections(boxes, np.linspace(1, 0.6, 300, dtype=np.float32), np.ones(300, np.int64), np.full((300, 28, 28), 9, np.float32))
    given = Case(random.normal(0, 1, (3, 30, 40)).astype(np.float32), 2, found, void=True)

    _compare(given)
    assert len(np.unique(panoptic_head(given.semantic, 2, found, True, given.hw).ids)) > 300


def test_a_tile_looks_only_at_channels_that_can_win(monkeypatch) -> None:
    """Where one class is clearly on top and nothing was found, nothing is made larger at all."""
    made: list[int] = []
    monkeypatch.setattr(head, "larger", lambda _: made.append(1))
    semantic = np.zeros((133, 64, 64), np.float32)
    semantic[7] = 5

    nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), np.zeros((0, 28, 28)))
    found = panoptic_head(semantic, 53, nothing, True, (256, 256))

    assert made == []
    assert (found.ids == 7).all()


def test_upsampling_is_bilinear_and_stays_between_its_cells() -> None:
    """As OpenCV resizes, up to rounding; never outside the values around a pixel, by no last digit."""
    import cv2

    random = np.random.default_rng(0)
    for scale in (1e-3, 1.0, 1e4):
        cells = (random.normal(0, scale, (2, 13, 17)) * random.choice([1, 1e-4], (2, 13, 17))).astype(np.float32)
        found = upsampled(cells)
        for plane, large in zip(cells, found, strict=True):
            wanted = cv2.resize(plane, (68, 52), interpolation=cv2.INTER_LINEAR)
            np.testing.assert_allclose(large, wanted, rtol=1e-5, atol=scale * 1e-5)
            around = np.pad(plane, 1, mode="edge")
            corners = np.stack([around[y : y + 14, x : x + 18] for y in (0, 1) for x in (0, 1)])
            low, high = (np.kron(bound, np.ones((4, 4), np.float32))[2:-2, 2:-2] for bound in (corners.min(axis=0), corners.max(axis=0)))
            assert ((large >= low) & (large <= high)).all()
