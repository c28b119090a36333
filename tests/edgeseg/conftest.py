"""Made-up frames and results for tests that are not about how results come about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeseg import backends
from edgeseg.backends import BACKENDS
from edgeseg.masks import SoftMask, SoftMasks
from edgeseg.types import Frame, Instances, Label, Result, Step
from tests.bundles import tiny_bundle
from tests.edgeseg.made_up_engines import Engines

LABELS = (Label("cat", 17), Label("dog", 18))


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here depends on the machine: what ``auto`` takes is known, and no engine is built beside a test."""
    monkeypatch.setattr(backends, "find_gpu", lambda: None)


@pytest.fixture
def engines(no_gpu: None, monkeypatch: pytest.MonkeyPatch) -> Engines:
    """The backend, which ``auto`` prefers."""
    made = Engines()
    monkeypatch.setitem(BACKENDS, made.name, made)
    monkeypatch.setattr(backends, "_GPU_FIRST", (made.name,))
    monkeypatch.setattr(backends, "find_gpu", lambda: "a GPU")
    return made


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A bundle with both graphs."""
    return tiny_bundle(tmp_path / "video", warp=True)


@pytest.fixture
def make_frame() -> Callable[..., Frame]:
    """A grey frame: ``make_frame(index, hw, stream)``."""

    def make(index: int = 0, hw: tuple[int, int] = (96, 128), stream: str = "clip") -> Frame:
        return Frame(np.full((*hw, 3), 100, np.uint8), index=index, stream=stream, time_s=index / 30)

    return make


@pytest.fixture
def make_result() -> Callable[..., Result]:
    """A result with full masks in the given boxes: ``make_result(boxes, hw, index, track_ids)``, scores 0.9, 0.8, ..."""

    def make(boxes=((20, 40, 60, 80),), hw=(96, 128), index=0, track_ids=None, classes=None) -> Result:
        n = len(boxes)
        masks = tuple(SoftMask(np.ones((1, 1), np.float32), tuple(map(float, box)), tuple(map(int, box))) for box in boxes)
        instances = Instances(
            boxes=np.array(boxes, np.float32).reshape(n, 4),
            scores=(0.9 - 0.1 * np.arange(n)).astype(np.float32),
            classes=np.array(classes if classes is not None else [i % 2 for i in range(n)], np.int64).reshape(n),
            masks=SoftMasks(masks, hw),
            track_ids=np.array(track_ids if track_ids is not None else [-1] * n, np.int64).reshape(n),
            image_hw=hw,
        )
        return Result(index, Step.KEY, LABELS, hw, instances, time_s=index / 30, age_s=0.0123456789)

    return make
