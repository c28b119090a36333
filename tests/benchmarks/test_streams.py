"""The benchmark of several cameras: what a camera gives, and how the two ways are compared."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import streams
from benchmarks.streams import Camera, summary
from edgeseg.sources.synthetic import Scene, SceneConfig


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets."""
    now = {"s": 100.0}
    monkeypatch.setattr(streams.time, "monotonic", lambda: now["s"])
    return now


def test_a_camera_gives_the_newest_picture_and_counts_the_others(clock):
    """Ten pictures a second from 100 s to 102 s; four pictures are shown forwards and backwards."""
    scene = Scene(SceneConfig(frame_count=4, size_hw=(48, 64)))
    pictures = [scene.frame(i) for i in range(4)]
    camera = Camera(pictures, 10, 100.0, 102.0)
    frames, found = iter(camera), []
    for now_s in (100.05, 100.15, 100.45, 100.55):
        clock["s"] = now_s
        assert camera.ready
        found.append(next(frames))
        assert not camera.ready

    assert [frame.index for frame in found] == [0, 1, 4, 5]
    assert [frame.captured_s for frame in found] == pytest.approx([100.0, 100.1, 100.4, 100.5])
    assert camera.counts.dropped == 2
    assert [frame.pixels is pictures[i].pixels for frame, i in zip(found, (0, 1, 2, 1), strict=True)] == [True] * 4
    clock["s"] = 102.0
    assert camera.ready
    assert next(frames, None) is None


def test_ways_are_compared_pair_by_pair():
    """Half the age in each of twelve pairs, under a load that differs from pair to pair; two streams have ages of their own."""
    counts = {"frames": [3] * 2, "key_frames": [1] * 2, "dropped": [0] * 2}

    def run_of(age_ms):
        return {**counts, "ages_ms": [[age_ms] * 5, [3 * age_ms] * 5]}

    found = summary([{"staggered": run_of(1.0 * load), "together": run_of(2.0 * load)} for load in range(1, 13)])

    assert found["p50_ms"]["staggered"] == [6.5, 19.5]
    assert found["p50_ms"]["together"] == [13.0, 39.0]
    assert found["p99_ms"]["staggered"] == [12.0, 36.0]
    for name in ("p50_ms", "p99_ms"):
        assert {key: value for key, value in found[name].items() if key not in streams.WAYS} == {
            "ratio": 0.5,
            "within": [0.5, 0.5],
            "staggered_is": "faster",
            "pairs_lower": 12,
            "pairs": 12,
        }
    assert found["frames"] == {"staggered": 72, "together": 72}


@pytest.mark.slow
def test_streams_writes_every_pair(tmp_path, monkeypatch):
    """A short run of two cameras, with both ways of taking pictures."""
    out = tmp_path / "streams.json"
    options = ["--cameras", "2", "--interval", "2", "--seconds", "1", "--pairs", "10", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["streams", *options])

    assert streams.main() == 0

    record = json.loads(out.read_text())
    assert [found["setting"]["spread"] for found in record["results"]] == [False, True]
    assert all(len(pair[way]["ages_ms"]) == 2 for found in record["results"] for pair in found["pairs"] for way in streams.WAYS)
