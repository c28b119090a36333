"""What defines a synthetic scene, and how it is written on the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgeseg.errors import UsageError
from edgeseg.types import SizeHW

PREFIX = "synthetic:"
HELD_OUT_FIRST_SEED = 900_000
"""Scenes from this seed on are for evaluation and the demo; training stays below."""


@dataclass(frozen=True)
class SceneConfig:
    """A scene is a function of these values alone; the same values give the same pictures."""

    seed: int = 0
    size_hw: SizeHW = (360, 640)
    """(height, width) of the pictures in pixels."""
    frame_count: int = 120
    fps: float = 30.0
    min_objects: int = 4
    max_objects: int = 10
    """The number of moving objects is drawn between the two; about three quarters of them are in the picture at a time."""
    noise: float = 4.0
    """Strongest sensor noise that a scene may draw: standard deviation in grey levels."""
    blur: float = 0.003
    """Strongest lens blur that a scene may draw: standard deviation as a part of the shorter image side."""

    def __post_init__(self) -> None:
        _check("seed", self.seed, 0 <= self.seed < 2**63, "0 or more")
        _check("size", self.size_hw[::-1], all(32 <= side <= 8192 for side in self.size_hw), "two sides of 32 to 8192 pixels")
        _check("frames", self.frame_count, self.frame_count >= 1, "1 or more")
        _check("fps", self.fps, 0 < self.fps <= 1000, "above 0, at most 1000")
        _check("objects", (self.min_objects, self.max_objects), 0 <= self.min_objects <= self.max_objects <= 64, "0 <= min <= max <= 64")
        _check("noise", self.noise, 0 <= self.noise <= 64, "0 to 64 grey levels")
        _check("blur", self.blur, 0 <= self.blur <= 0.05, "0 to 0.05 of the shorter side")


def parse(text: str) -> SceneConfig:
    """The scene that a source string names: ``synthetic:`` or ``synthetic:seed=7,frames=90,size=640x360,fps=30``.

    ``size`` is WIDTHxHEIGHT in pixels. What is left out keeps its default.

    Raises:
        UsageError: the string has an unknown key, a key twice or a value that cannot be used.
    """
    values: dict[str, Any] = {}
    options = text.removeprefix(PREFIX)
    for option in options.split(",") if options else []:
        key, equals, value = (part.strip() for part in option.partition("="))
        if key not in _KEYS or not equals:
            raise UsageError(f"{text!r}: {option.strip()!r} is not an option of a synthetic source; give {_allowed()}, separated by commas")
        name, _, convert = _KEYS[key]
        if name in values:
            raise UsageError(f"{text!r}: {key} is given twice")
        try:
            values[name] = convert(value)
        except ValueError as error:
            raise UsageError(f"{text!r}: {value!r} cannot be used for {key}; give {_allowed()}") from error
    return SceneConfig(**values)


def _size(text: str) -> SizeHW:
    width, height = text.lower().split("x")
    return int(height), int(width)


_KEYS: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "seed": ("seed", "7", int),
    "frames": ("frame_count", "90", int),
    "size": ("size_hw", "640x360", _size),
    "fps": ("fps", "30", float),
}


def _allowed() -> str:
    return ", ".join(f"{key}={example}" for key, (_, example, _) in _KEYS.items())


def _check(name: str, value: object, valid: bool, allowed: str) -> None:
    if not valid:
        raise UsageError(f"synthetic scene: {name} is {value}, it must be {allowed}")
