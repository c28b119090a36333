"""The frame that is timed, what is done with it, and what memory that takes; without torch, as on a device.

python -m benchmarks.frame BUNDLE BACKEND SCORE   (prints the peak memory)
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import edgeseg
from edgeseg.opencv import opencv
from edgeseg.types import Result, U8Array

from .conditions import peak_memory_mb
from .paired import Contender

PICTURE = Path(__file__).parent.parent / "export" / "pictures" / "coffee.jpg"
FRAME_HW = (1080, 1920)
MEMORY_RUNS = 3


def frame() -> U8Array:
    """A shipped picture stretched to 1080p, uint8 BGR."""
    cv = opencv()
    return np.asarray(cv.resize(cv.imread(str(PICTURE)), FRAME_HW[::-1], interpolation=cv.INTER_CUBIC))


def encode(result: Result) -> list[dict[str, Any]]:
    """All masks as run-length code."""
    found = result.instances
    return [found.masks.rle(i) for i in range(len(found))] if found is not None else []


def ours(model: edgeseg.Model, picture: U8Array) -> Contender:
    """A picture in, run-length masks out, with the stages' times and ``encode`` and ``total``."""

    def work() -> Mapping[str, float]:
        start_s = time.perf_counter()
        result = model(picture)
        decoded_s = time.perf_counter()
        encode(result)
        end_s = time.perf_counter()
        return {**result.spans, "encode": end_s - decoded_s, "total": end_s - start_s}

    return work


def share_outside(parts_s: Mapping[str, tuple[float, ...]]) -> float:
    """Median of (whole frame - network) / network."""
    outside = np.array(parts_s["total"]) - np.array(parts_s["infer"])
    return round(float(np.median(outside / np.array(parts_s["infer"]))), 4)


def main() -> int:
    """Print the peak memory of loading a bundle and segmenting the frame, MB."""
    bundle, backend, score = sys.argv[1:]
    with edgeseg.load(bundle, backend=backend, score_threshold=float(score)) as model:
        for _ in range(MEMORY_RUNS):
            encode(model(frame()))
    print(json.dumps(round(peak_memory_mb(), 1)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
