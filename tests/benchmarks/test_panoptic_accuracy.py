"""The comparison of the small panoptic models."""

from __future__ import annotations

import numpy as np

from benchmarks.panoptic_accuracy import CONTENDERS, IouTracker, score
from edgeseg.sources.synthetic import HELD_OUT_FIRST_SEED, SceneConfig


def _ids(tracker: IouTracker, *boxes: tuple[float, float, float, float], kind: int = 4) -> list[int]:
    return tracker.update(np.array(boxes, np.float32), np.full(len(boxes), kind, np.int64)).tolist()


def test_the_plain_tracker_follows_overlap_and_nothing_else() -> None:
    """A box that moves a little or was hidden keeps its id, one that jumps or is of another class gets a new one."""
    tracker = IouTracker()

    assert _ids(tracker, (0, 0, 20, 20), (50, 50, 80, 80)) == [0, 1]
    assert _ids(tracker, (52, 51, 82, 81)) == [1]
    assert _ids(tracker, (1, 0, 21, 20), (0, 70, 20, 90)) == [0, 2]
    assert _ids(tracker, (52, 51, 82, 81), kind=5) == [3]


def test_a_contender_is_scored() -> None:
    """Two frames through the video model give a quality and ids."""
    clip = SceneConfig(seed=HELD_OUT_FIRST_SEED + 201, frame_count=6)
    frames = []

    found = score(CONTENDERS["VPSNet, track head"], [clip], "openvino", lambda: frames.append(1))

    assert len(frames) == 6
    assert 0.5 < found["PQ"] <= 1
    assert 0.5 < found["VPQ 5"] <= found["PQ"]
    assert 0.5 < found["IDF1"] <= 1
