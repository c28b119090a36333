"""What the outputs of a panoptic graph mean in a picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgeseg.bundle import Bundle, InputSpec, Setting
from edgeseg.errors import BundleError
from edgeseg.families.base import Decoded
from edgeseg.families.panoptic import BOXES, CLASSES, EMBEDDINGS, MASK_LOGITS, SCORES, SEMANTIC, STUFF_AREA_LIMIT, VOID, PanopticFamily
from edgeseg.geometry import Fit
from edgeseg.ops.panoptic import Detections, SlotMap, reference
from edgeseg.ops.panoptic.upsample import upsampled
from edgeseg.types import Label
from tests.edgeseg.ops.panoptic.cases import Case, case

CASES = 1000
ROWS = 44


def _labels(stuff: int, things: int) -> tuple[Label, ...]:
    return tuple(Label(str(k), k, k >= stuff) for k in range(stuff + things))


def _bundle(labels: tuple[Label, ...], **settings: Setting) -> Bundle:
    return Bundle("panoptic", "tiny", labels, InputSpec((32, 32)), {}, {}, settings={VOID: False, STUFF_AREA_LIMIT: 0} | settings)


def _outputs(given: Case) -> dict[str, Any]:
    """As a graph gives them: best first, -1 in empty rows."""
    count = len(given.detections)
    order = np.argsort(-given.detections.scores, kind="stable")
    outputs = {
        BOXES: np.zeros((ROWS, 4), np.float32),
        SCORES: np.full(ROWS, -1, np.float32),
        CLASSES: np.zeros(ROWS, np.int64),
        MASK_LOGITS: np.full((ROWS, 28, 28), 5, np.float32),
        SEMANTIC: given.semantic,
        EMBEDDINGS: np.arange(ROWS * 2, dtype=np.float32).reshape(ROWS, 2),
    }
    values = (given.detections.boxes, given.detections.scores, given.detections.classes - 1 + given.stuff, given.detections.mask_logits)
    for name, value in zip((BOXES, SCORES, CLASSES, MASK_LOGITS), values, strict=True):
        outputs[name][:count] = value[order]
    return outputs


def _nearest(plane: np.ndarray, covered: tuple[int, int], image_hw: tuple[int, int]) -> np.ndarray:
    """The pixel that lies at or before each one's place."""
    rows, columns = (np.arange(to) * side // to for to, side in zip(image_hw, covered, strict=True))
    return plane[rows[:, None], columns]


def _wanted(given: Case, outputs: dict[str, Any], fit: Fit, limit: int) -> tuple[np.ndarray, np.ndarray, SlotMap]:
    """Classes and instance numbers by the plain functions, and the head's map at the picture's size."""
    rows = outputs[SCORES] > 0
    detections = Detections(
        outputs[BOXES][rows], outputs[SCORES][rows], outputs[CLASSES][rows] - given.stuff + 1, outputs[MASK_LOGITS][rows]
    )
    found = reference.panoptic_head(upsampled(given.semantic), given.stuff, detections, given.void)
    height, width = fit.covered_hw
    ids, semantic = (_nearest(plane[:height, :width], fit.covered_hw, fit.image_hw) for plane in (found.ids, found.semantic))
    found = replace(found, ids=ids, semantic=semantic)
    classes, numbers = reference.unify(found, given.stuff, limit)
    return classes, np.where(classes >= given.stuff, numbers, 0), found


def _check(decoded: Decoded, labels: tuple[Label, ...], classes: np.ndarray, numbers: np.ndarray) -> None:
    """The map has these classes and instances; segments, instances and areas tell the same."""
    panoptic, found = decoded.panoptic, decoded.instances
    things = [segment for segment in panoptic.segments if segment.is_thing]
    by_id = {0: (-1, 0)} | {segment.id: (segment.class_id, 0) for segment in panoptic.segments if not segment.is_thing}
    by_id |= {segment.id: (segment.class_id, number) for segment, number in zip(things, np.unique(numbers[numbers > 0]), strict=True)}
    seen = np.array([by_id[number] for number in panoptic.ids.reshape(-1).tolist()]).reshape(*classes.shape, 2)
    assert np.array_equal(seen[..., 0], classes)
    assert np.array_equal(seen[..., 1], numbers)
    assert [segment.area for segment in panoptic.segments] == [int((panoptic.ids == segment.id).sum()) for segment in panoptic.segments]
    assert all(segment.area > 0 and segment.is_thing == labels[segment.class_id].is_thing for segment in panoptic.segments)
    assert [segment.class_id for segment in things] == found.classes.tolist()
    assert all(np.array_equal(found.masks.paste(i), panoptic.ids == segment.id) for i, segment in enumerate(things))
    assert (np.diff(found.scores) <= 0).all()


def test_the_map_is_that_of_the_plain_functions() -> None:
    """Head, resize, vote and area limit on random pictures of other sizes than the network's, boxed and stretched."""
    for seed in range(CASES):
        given, random = case(seed), np.random.default_rng(seed)
        height, width = given.hw
        covered = (int(random.integers(1, height + 1)), int(random.integers(1, width + 1))) if random.random() < 0.5 else given.hw
        image_hw = tuple(random.integers(1, 25, 2).tolist()) if random.random() < 0.5 else covered
        fit, limit = Fit(image_hw, given.hw, covered), int(random.choice([0, 9]))
        labels, outputs = _labels(given.stuff, len(given.semantic) - given.stuff), _outputs(given)
        family = PanopticFamily().configured(_bundle(labels, void=given.void, stuff_area_limit=limit))

        decoded = family.decode(outputs, fit, 0.0)

        classes, numbers, found = _wanted(given, outputs, fit, limit)
        _check(decoded, labels, classes, numbers)
        assert decoded.candidates.kept.tolist() == found.kept.tolist()
        slots = np.unique(found.ids[numbers > 0]) - given.stuff
        assert decoded.candidates.rows.tolist() == slots.tolist()
        present = np.unique(found.ids[found.ids >= given.stuff]) - given.stuff
        assert decoded.candidates.present.tolist() == present[: len(found.kept) and None].tolist()


def _simple() -> dict[str, Any]:
    """Two stuff classes side by side in 32 x 32 pixels, and two things of class 2 and 3 on them."""
    semantic = np.full((4, 8, 8), -4, np.float32)
    semantic[0, :, :4] = semantic[1, :, 4:] = 4
    boxes = np.array([[2, 2, 9, 9], [20, 20, 29, 27]], np.float32)
    for i, (x1, y1, x2, y2) in enumerate(boxes.astype(int) // 4):
        semantic[2 + i, y1 : y2 + 1, x1 : x2 + 1] = 6
    return {
        BOXES: boxes,
        SCORES: np.array([0.9, 0.7], np.float32),
        CLASSES: np.array([2, 3]),
        MASK_LOGITS: np.full((2, 28, 28), 30, np.float32),
        SEMANTIC: semantic,
    }


def _decode(outputs: dict[str, Any], threshold: float = 0.3, image_hw: tuple[int, int] = (32, 32), **settings: Setting) -> Decoded:
    family = PanopticFamily().configured(_bundle(_labels(2, 2), **settings))
    return family.decode(outputs, Fit.stretch(image_hw, (32, 32)), threshold)


def test_a_picture_has_things_then_stuff() -> None:
    """With their numbers, scores and areas; boxes are tight; candidates are the graph's rows."""
    decoded = _decode(_simple())
    panoptic, found, candidates = decoded.panoptic, decoded.instances, decoded.candidates

    assert [(segment.id, segment.class_id, segment.score) for segment in panoptic.segments] == [
        (5, 2, pytest.approx(0.9)), (6, 3, pytest.approx(0.7)), (1, 0, 1.0), (2, 1, 1.0),
    ]  # fmt: skip
    assert found.boxes.tolist() == [[2, 2, 10, 10], [20, 20, 30, 28]]
    assert [segment.area for segment in panoptic.segments] == [64, 80, 512 - 64, 512 - 80]
    assert (candidates.boxes.tolist(), candidates.classes.tolist()) == (_simple()[BOXES].tolist(), [2, 3])
    assert (candidates.embeddings, candidates.kept.tolist(), candidates.rows.tolist()) == (None, [0, 1], [0, 1])


def test_weak_detections_are_not_even_candidates() -> None:
    """Strictly above the threshold; where none is, the map is stuff alone."""
    assert [segment.id for segment in _decode(_simple(), 0.8).panoptic.segments] == [5, 1, 2]
    empty = _decode(_simple(), 0.95)
    assert (len(empty.instances), len(empty.candidates), [segment.id for segment in empty.panoptic.segments]) == (0, 0, [1, 2])


def test_only_where_the_graph_found_nothing_its_first_row_is_the_stand_in() -> None:
    """Candidates that are too weak leave none; without a track head there never is one."""
    embedded = _simple() | {EMBEDDINGS: np.array([[1, 2, 3], [4, 5, 6]], np.float32)}
    nothing = {SCORES: np.full(2, -1, np.float32)}

    assert _decode(embedded | nothing).candidates.stand_in.tolist() == [1, 2, 3]
    assert _decode(embedded | nothing).candidates.embeddings.shape == (0, 3)
    assert _decode(embedded, 0.95).candidates.stand_in is None
    assert _decode(_simple() | nothing).candidates.stand_in is None


def test_where_nothing_is_found_and_nothing_is_likely_is_the_last_stuff() -> None:
    """Not an instance, as in the originals: nothing was found there."""
    outputs = _simple()
    outputs[SEMANTIC][:2, 4:], outputs[SEMANTIC][2, 4:] = -2, -1

    decoded = _decode(outputs, 1.0)

    assert len(decoded.instances) == 0
    assert (decoded.panoptic.ids[20:] == 2).all()
    assert (decoded.panoptic.ids[:14, :14] == 1).all()


def test_small_stuff_becomes_void() -> None:
    """Counted in pixels of the picture."""
    small, large = (_decode(_simple(), stuff_area_limit=450, image_hw=hw) for hw in ((32, 32), (64, 64)))

    assert [segment.id for segment in small.panoptic.segments] == [5, 6]
    assert (small.panoptic.ids == 0).sum() == 1024 - 64 - 80
    assert [segment.id for segment in large.panoptic.segments] == [5, 6, 1, 2]


def test_a_picture_smaller_than_a_stride_has_its_map() -> None:
    """One pixel, and a strip."""
    for hw in ((1, 1), (2, 3)):
        decoded = PanopticFamily().configured(_bundle(_labels(2, 2))).decode(_simple(), Fit.stretch(hw, hw), 0.3)
        assert decoded.panoptic.ids.tolist() == np.ones(hw, int).tolist()


def test_more_things_than_a_byte_can_count_have_a_segment_each() -> None:
    """300 of them, side by side, over stuff."""
    corner = np.stack(np.meshgrid(np.arange(20) * 8, np.arange(15) * 8), axis=-1).reshape(-1, 2)
    outputs = {
        BOXES: np.concatenate([corner, corner + 5], axis=1).astype(np.float32),
        SCORES: np.linspace(1, 0.6, 300, dtype=np.float32),
        CLASSES: np.full(300, 2),
        MASK_LOGITS: np.full((300, 28, 28), 30, np.float32),
        SEMANTIC: np.repeat(np.array([4, -4, 3, -4], np.float32), 30 * 40).reshape(4, 30, 40),
    }
    labels = _labels(2, 2)

    decoded = PanopticFamily().configured(_bundle(labels)).decode(outputs, Fit.stretch((120, 160), (120, 160)), 0.3)

    # As long as the semantics see stuff everywhere, it takes them all.
    assert [segment.id for segment in decoded.panoptic.segments] == [1]
    outputs[SEMANTIC][2] = 5
    decoded = PanopticFamily().configured(_bundle(labels)).decode(outputs, Fit.stretch((120, 160), (120, 160)), 0.3)
    assert [segment.area for segment in decoded.panoptic.segments] == [36] * 300 + [120 * 160 - 300 * 36]
    assert len(decoded.instances) == len(decoded.candidates.rows) == 300


def test_a_box_that_is_no_number_is_no_candidate() -> None:
    """The others are as they were."""
    outputs = _simple()
    outputs[BOXES][0, 2] = np.nan

    assert [(segment.id, segment.class_id) for segment in _decode(outputs).panoptic.segments if segment.is_thing] == [(5, 3)]


@pytest.mark.parametrize("class_id", [-1, 0, 1, 4])
def test_a_detection_that_is_no_thing_is_refused(class_id: int) -> None:
    """Stuff, or beyond the labels."""
    outputs = _simple()
    outputs[CLASSES][1] = class_id

    with pytest.raises(BundleError, match="labels 2 to 3, but its graph gave another class"):
        _decode(outputs)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({VOID: 1}, "'void' 1,"),
        ({VOID: "yes"}, "'void' 'yes',"),
        ({STUFF_AREA_LIMIT: -1}, "limit' -1,"),
        ({STUFF_AREA_LIMIT: True}, "True,"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Setting], message: str) -> None:
    """Named, with what is wanted."""
    with pytest.raises(BundleError, match=message):
        PanopticFamily().configured(_bundle(_labels(1, 1), **settings))


def test_labels_are_stuff_then_things() -> None:
    """Any other order does not fit the channels."""
    with pytest.raises(BundleError, match="a thing before stuff"):
        PanopticFamily().configured(_bundle(_labels(1, 1)[::-1]))
