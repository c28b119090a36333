"""How the camera and the objects move: poses as affine matrices, closed-form in time.

World coordinates have their origin at the middle of the scene and the shorter image side as their unit, y down. Image
coordinates are those of OpenCV: the middle of the first pixel is (0, 0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgeseg.types import F64Array, SizeHW

MAX_PAN = 0.12
MAX_TURN = math.radians(4)
MAX_ZOOM = 1.25
REACH = 1.4
"""How far an object's stretched shape and its shadow reach, in radii."""


@dataclass(frozen=True)
class Wave:
    """A value that swings between -amplitude and +amplitude."""

    amplitude: float
    period_s: float
    phase: float

    @classmethod
    def draw(cls, rng: np.random.Generator, largest: float, periods_s: tuple[float, float]) -> Wave:
        """A wave of random phase and period; its amplitude is between a quarter of ``largest`` and ``largest``."""
        return cls(largest * rng.uniform(0.25, 1.0), rng.uniform(*periods_s), rng.uniform(0, 2 * math.pi))

    def at(self, time_s: float) -> float:
        """The value at a time in seconds."""
        return self.amplitude * math.sin(2 * math.pi * time_s / self.period_s + self.phase)


def similarity(x: float, y: float, angle: float, scale_x: float, scale_y: float) -> F64Array:
    """float64 (3, 3): scale along the axes, then turn by ``angle`` radians, then move by (x, y)."""
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos * scale_x, -sin * scale_y, x], [sin * scale_x, cos * scale_y, y], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class Camera:
    """A hand-held camera: bounded pan, turn and zoom."""

    pan_x: Wave
    pan_y: Wave
    turn: Wave
    zoom: Wave

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Camera:
        """A random camera that stays within MAX_PAN, MAX_TURN and MAX_ZOOM."""
        return cls(
            pan_x=Wave.draw(rng, MAX_PAN, (5, 12)),
            pan_y=Wave.draw(rng, MAX_PAN * 0.5, (5, 12)),
            turn=Wave.draw(rng, MAX_TURN, (6, 14)),
            zoom=Wave.draw(rng, 0.5 * math.log(MAX_ZOOM), (6, 14)),
        )

    def matrix(self, time_s: float, image_hw: SizeHW, nearness: float) -> F64Array:
        """float64 (3, 3): world to image for a layer. Layers of ``nearness`` above 1 move more as the camera pans (parallax)."""
        height, width = image_hw
        scale = min(image_hw) * math.exp(0.5 * math.log(MAX_ZOOM) + self.zoom.at(time_s))
        view = similarity((width - 1) / 2, (height - 1) / 2, self.turn.at(time_s), scale, scale)
        pan = similarity(-self.pan_x.at(time_s) * nearness, -self.pan_y.at(time_s) * nearness, 0.0, 1.0, 1.0)
        return view @ pan


def visible_extent(image_hw: SizeHW, nearness: float) -> tuple[float, float]:
    """Half width and half height, in world units, of all that any camera can ever see of a layer."""
    height, width = (side / min(image_hw) / 2 for side in image_hw)
    cos, sin = math.cos(MAX_TURN), math.sin(MAX_TURN)
    return width * cos + height * sin + MAX_PAN * nearness, height * cos + width * sin + MAX_PAN * nearness


@dataclass(frozen=True)
class Path:
    """An object that turns and breathes while it roams about one place, or crosses the scene along a swaying line.

    Crossings repeat. Each of them (a lap) begins and ends out of sight, so it counts as a new object.
    """

    start: tuple[float, float]
    direction: tuple[float, float]
    length: float
    """From one end of the line to the other, world units."""
    speed: float
    """World units a second; 0 for an object that roams."""
    offset: float
    """Where on the line the object is at time 0."""
    radius: float
    aspect: float
    """Width over height in the object's own axes."""
    drift: Wave
    """Swing along the line; an object that crosses has none."""
    sway: Wave
    """Swing across the line."""
    spin: float
    """Radians a second."""
    rock: Wave
    breathe: Wave

    @classmethod
    def draw(cls, rng: np.random.Generator, radius: float, extent: tuple[float, float]) -> Path:
        """A random line through the middle part of a scene of half size ``extent`` (x, y)."""
        roams = rng.random() < 0.5
        drift = Wave.draw(rng, 0.3 if roams else 0.0, (6, 14))
        sway = Wave.draw(rng, 0.15 if roams else 0.06, (3, 8))
        breathe = Wave.draw(rng, 0.14, (2, 7))
        heading = rng.uniform(0, 2 * math.pi)
        direction = (math.cos(heading), math.sin(heading))
        margin = REACH * radius * (1 + breathe.amplitude) + sway.amplitude
        anchor = (rng.uniform(-0.6, 0.6) * extent[0], rng.uniform(-0.6, 0.6) * extent[1])
        before, after = _exits(anchor, direction, (extent[0] + margin, extent[1] + margin))
        return cls(
            start=(anchor[0] - before * direction[0], anchor[1] - before * direction[1]),
            direction=direction,
            length=before + after,
            speed=0.0 if roams else rng.uniform(0.06, 0.32),
            offset=before if roams else rng.uniform(0, before + after),
            radius=radius,
            aspect=rng.uniform(0.85, 1.15),
            drift=drift,
            sway=sway,
            spin=rng.uniform(-0.9, 0.9),
            rock=Wave.draw(rng, 0.35, (2, 6)),
            breathe=breathe,
        )

    def lap(self, time_s: float) -> int:
        """How many crossings were finished before this time."""
        return int((self.offset + self.speed * time_s) // self.length)

    def matrix(self, time_s: float) -> F64Array:
        """float64 (3, 3): the object's unit circle to world."""
        along = (self.offset + self.speed * time_s) % self.length + self.drift.at(time_s)
        across = self.sway.at(time_s)
        x = self.start[0] + along * self.direction[0] - across * self.direction[1]
        y = self.start[1] + along * self.direction[1] + across * self.direction[0]
        scale = self.radius * (1 + self.breathe.at(time_s))
        stretch = math.sqrt(self.aspect)
        return similarity(x, y, self.spin * time_s + self.rock.phase + self.rock.at(time_s), scale * stretch, scale / stretch)


def _exits(anchor: tuple[float, float], direction: tuple[float, float], half: tuple[float, float]) -> tuple[float, float]:
    """How far it is from ``anchor`` to the border of a centred rectangle, against and along ``direction``."""
    ahead = [(side - math.copysign(at, at * d)) / max(abs(d), 1e-9) for at, d, side in zip(anchor, direction, half, strict=True)]
    behind = [(side + math.copysign(at, at * d)) / max(abs(d), 1e-9) for at, d, side in zip(anchor, direction, half, strict=True)]
    return min(behind), min(ahead)
