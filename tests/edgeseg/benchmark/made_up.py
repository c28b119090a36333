"""Measurements that nobody made."""

from __future__ import annotations

import numpy as np

from edgeseg.benchmark.measure import Samples
from edgeseg.benchmark.sensors import Reading
from edgeseg.types import Step

CALM = (Reading(0.0, busy_s=10.0, steal_s=0.0, own_s=1.0, load_1_min=0.1), Reading(10.0, busy_s=20.0, steal_s=0.0, own_s=11.0))
"""Ten seconds in which nobody else did anything."""


def samples(latency_s, steps=None, readings=CALM, **changes) -> Samples:
    """Key frames of such durations, of which half is inference."""
    latency_s = np.asarray(latency_s, float)
    given = {
        "warm_up_s": (0.5, 0.2),
        "steps": tuple(steps or [Step.KEY] * len(latency_s)),
        "latency_s": latency_s,
        "stages_s": {"infer": latency_s / 2},
        "wall_s": float(latency_s.sum()) or 1.0,
        "missed": 0,
        "readings": readings,
        "memory_mib": (100.0, 101.0, 110.0),
    }
    return Samples(**{**given, **changes})


def steady(n=500, seed=0, centre=0.02) -> np.ndarray:
    """Durations as an idle machine gives them: a narrow heap with a tail to the right."""
    return centre * np.random.default_rng(seed).lognormal(0, 0.03, n)
