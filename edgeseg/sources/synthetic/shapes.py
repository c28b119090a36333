"""The silhouettes of the thing classes, as polygons in a unit circle."""

from __future__ import annotations

import numpy as np

from edgeseg.types import F64Array

SHAPES = ("circle", "square", "triangle", "star", "ring", "cross")
_ROUND = 64
"""Corners of a polygon that stands for a circle."""


def silhouette(shape: str, rng: np.random.Generator) -> list[F64Array]:
    """Contours, each float64 (corners, 2) x, y within the unit circle, y down; a contour inside another one is a hole.

    Proportions that leave the class recognisable (thickness of a ring, depth of a star) are drawn from ``rng``.
    """
    if shape == "circle":
        return [_regular(_ROUND, 0.88)]
    if shape == "square":
        return [_regular(4, 1.0, turn=np.pi / 4)]
    if shape == "triangle":
        return [_regular(3, 1.0)]
    if shape == "star":
        return [_star(5, float(rng.uniform(0.42, 0.52)))]
    if shape == "ring":
        return [_regular(_ROUND, 0.95), _regular(_ROUND, float(rng.uniform(0.48, 0.6)))]
    return [_cross(float(rng.uniform(0.26, 0.34)))]


def _regular(corners: int, radius: float, turn: float = 0.0) -> F64Array:
    angle = 2 * np.pi * np.arange(corners) / corners + turn
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _star(points: int, inner: float) -> F64Array:
    corners = _regular(2 * points, 1.0)
    corners[1::2] *= inner
    return corners


def _cross(arm: float) -> F64Array:
    """A plus sign whose arms are ``2 * arm`` wide."""
    end = np.sqrt(1 - arm**2)
    quarter = np.array([[end, -arm], [end, arm], [arm, arm]])
    turns = [np.array([[c, -s], [s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    return np.concatenate([quarter @ turn.T for turn in turns])
