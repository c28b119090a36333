"""What viewers see of a frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeseg.draw import annotate
from edgeseg.draw_style import PALETTE
from edgeseg.opencv import opencv
from edgeseg.sinks.web.picture import facts_of, jpeg_of, limited
from edgeseg.types import Panoptic, Segment, Step

BOXES = ((20, 40, 60, 80), (5, 5, 30, 30), (70, 10, 120, 50))


def read(jpeg: bytes):
    return opencv().imdecode(np.frombuffer(jpeg, np.uint8), opencv().IMREAD_COLOR)


def test_limit_leaves_out_what_scores_less(make_result):
    """Scores are 0.9, 0.8 and 0.7; one that is exactly at the limit stays."""
    result = make_result(BOXES)

    assert [len(limited(result, least).instances) for least in (0.0, float(np.float32(0.8)), 0.85, 1.0)] == [3, 2, 1, 0]
    assert limited(replace(result, instances=None), 0.5).instances is None


def test_limit_takes_things_out_of_a_map(make_result):
    """Their pixels become void; stuff stays whatever it scores."""
    ids = np.repeat(np.array([[1, 2, 3, 0]], np.int32), 2, axis=0)
    segments = (Segment(1, 0, True, 0.9, 2), Segment(2, 0, True, 0.4, 2), Segment(3, 1, False, 0.1, 2))
    result = replace(make_result((), hw=(2, 4)), panoptic=Panoptic(ids, segments))

    kept = limited(result, 0.5).panoptic

    assert kept.ids.tolist() == [[1, 0, 3, 0]] * 2
    assert kept.ids.dtype == np.int32
    assert [segment.id for segment in kept.segments] == [1, 3]
    assert limited(result, 0.2).panoptic is result.panoptic


def test_jpeg_is_the_annotated_picture(make_frame, make_result):
    """Small pictures keep their size and are, up to what JPEG loses, the annotated ones and not those of the source."""
    frame, result = make_frame(), make_result(BOXES)

    sent = read(jpeg_of(frame, result)).astype(int)

    assert sent.shape == frame.pixels.shape
    assert np.abs(sent - annotate(frame.pixels, result)).mean() < 8 < np.abs(sent - frame.pixels).mean()


@pytest.mark.parametrize(("hw", "sent"), [((720, 1280), (720, 1280)), ((1080, 1920), (720, 1280)), ((2000, 1000), (1280, 640))])
def test_large_pictures_are_sent_smaller(make_frame, make_result, hw, sent):
    """Neither side is longer than 1280 pixels."""
    assert read(jpeg_of(make_frame(hw=hw), make_result((), hw=hw))).shape[:2] == sent


def test_facts_tell_of_the_frame_and_its_instances(make_frame, make_result):
    """Step, age, latency, and a row for each instance with the colour it is painted in."""
    result = replace(
        make_result(BOXES[:2], index=7, track_ids=[5, -1]), step=Step.WARP, spans={"infer": 0.02, "decode": 0.005}, since_key=2
    )

    facts = facts_of(make_frame(7), result)

    blue, green, red = PALETTE[5]
    assert [facts[name] for name in ("stream", "frame", "step", "since_key", "image_size")] == ["clip", 7, "warp", 2, [96, 128]]
    assert (facts["age_ms"], facts["latency_ms"]) == (pytest.approx(12.3456789), pytest.approx(25.0))
    assert facts["stages_ms"] == {"infer": 20.0, "decode": 5.0}
    assert [(row["label"], row["id"]) for row in facts["instances"]] == [("cat", 5), ("dog", None)]
    assert [row["score"] for row in facts["instances"]] == pytest.approx([0.9, 0.8])
    assert facts["instances"][0]["colour"] == f"#{red:02x}{green:02x}{blue:02x}"
