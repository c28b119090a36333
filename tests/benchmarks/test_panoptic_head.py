"""The benchmark of the panoptic head, on a picture of a few pixels."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.panoptic_head import Dense, Setup, contenders_of, family_of, outputs_of, record_of
from edgeseg.families.panoptic import SEMANTIC
from edgeseg.geometry import Fit
from edgeseg.ops.panoptic.dense import floor_of, largest
from edgeseg.ops.panoptic.removal import Window

SETUP = Setup("tiny", (90, 150), 4, 3, 5, void=True)


def test_the_pictures_hold_things_and_stuff() -> None:
    """Most objects are seen, on several classes of stuff."""
    panoptic = family_of(SETUP).decode(outputs_of(SETUP), Fit.same_shape((90, 150), (90, 150)), 0.0).panoptic

    assert sum(segment.is_thing for segment in panoptic.segments) >= 3
    assert set(contenders_of(SETUP, outputs_of(SETUP))) >= {"decode", "mask removal", "head", "vote"}


def test_the_graphs_part_is_the_hosts() -> None:
    """The best stuff and the best thing of every pixel, up to rounding; the host leaves things out where they cannot matter."""
    semantic = outputs_of(SETUP)[SEMANTIC]
    stuff, stuff_class, _, _ = (tensor.numpy() for tensor in Dense(4)(torch.from_numpy(semantic)))

    best, channel = largest(semantic[:4], floor_of(semantic[:4]), Window(0, 96, 0, 160))

    np.testing.assert_allclose(best, stuff, atol=1e-5)
    assert (channel != stuff_class).mean() < 1e-3


def test_all_is_timed_in_turns() -> None:
    """Every part has as many durations as there are rounds."""
    record = record_of(SETUP, ("onnxruntime",), rounds=2)

    assert {len(timing["values_ms"]) for timing in record.values()} == {2}
    assert "dense part in onnxruntime" in record
