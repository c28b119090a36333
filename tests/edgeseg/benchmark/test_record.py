"""A measurement in JSON and back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgeseg.benchmark.doubts import Doubt
from edgeseg.benchmark.record import LATENCY, read_record, record
from edgeseg.errors import EvaluationError
from edgeseg.types import Step
from tests.edgeseg.benchmark.made_up import samples

FACTS = {"bundle": {"hashes": {"key.onnx": "ab"}}, "precision": "fp32"}


def test_steps_have_their_own_percentiles_and_drops_have_none():
    """Two key frames, one that was moved, one that was dropped; the time of the graph beside the whole."""
    steps = [Step.KEY, Step.PROPAGATE, Step.DROP, Step.KEY]
    infer_s = np.array([0.01, np.nan, np.nan, 0.03])

    found = record(samples([0.02, 0.004, 0.9, 0.04], steps, stages_s={"infer": infer_s}, missed=7), [], FACTS)

    assert {name: (part["n"], part["mean"], part["max"]) for name, part in found["capture_to_result_ms"].items()} == {
        "all": (3, pytest.approx(64 / 3, abs=1e-4), 40),
        "key": (2, 30, 40),
        "propagate": (1, 4, 4),
    }
    assert {name: (part["n"], part["mean"]) for name, part in found["infer_ms"].items()} == {"key": (2, 20)}
    assert found["drops"] == {"source": 7, "schedule": 1}
    assert found["samples"]["infer_ms"] == [10, None, None, 30]
    assert (found["frames"], found["warm_up_ms"], found["energy_j_per_frame"]) == (4, [500, 200], None)


def test_single_stream_says_what_it_is_sure_of_and_whether_it_was_long_enough():
    """100 frames bound p90, not p99, and do not last ten minutes."""
    found = record(samples(np.arange(1, 101) / 1e3), [], FACTS)["single_stream"]

    assert found == {"p90_at_most_ms": 97, "p99_at_most_ms": None, "least_s": 600, "long_enough": False}
    assert record(samples([1.0], wall_s=600.0), [], FACTS)["single_stream"]["long_enough"]


def test_a_record_comes_back_from_its_file(tmp_path):
    """With its durations by step, in seconds, and what it measured."""
    file = tmp_path / "a.json"
    content = record(samples([0.02, 0.03], [Step.KEY, Step.WARP]), [Doubt("few", "too few")], FACTS)
    file.write_text(json.dumps(content))

    found = read_record(file)

    assert found.content == content
    assert found.durations_s(LATENCY, "warp").tolist() == [0.03]
    assert found.artefact == {"hashes": {"key.onnx": "ab"}, "precision": "fp32"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "is not a result of 'edgeseg bench --json'"),
        ('{"format": "x"}', "is not a result of 'edgeseg bench --json'"),
        ('{"format": "edgeseg-bench", "format_version": 2}', "has format version 2, not 1"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    """Each says what it is not."""
    file = tmp_path / "a.json"
    if text is not None:
        file.write_text(text)

    with pytest.raises(EvaluationError, match=message):
        read_record(file)
