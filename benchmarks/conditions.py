"""Under what conditions a number was measured."""

from __future__ import annotations

import math
import os

from edgeseg.benchmark.machine import machine, peak_memory_mib


def conditions() -> dict[str, object]:
    """CPU, cores, load, Python and package versions."""
    return {**machine(), "load_1_min": round(os.getloadavg()[0], 2)}


def peak_memory_mb() -> float:
    """Largest resident size of this process so far, MiB."""
    return peak_memory_mib() or math.nan
