"""What recipes of nets have in common that take frames of one shape, resized with it kept."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgeseg.bundle import InputSpec, Setting
from edgeseg.errors import UsageError
from edgeseg.types import SizeHW

from .base import ExportOptions, Recipe

if TYPE_CHECKING:
    from typing import Self

    from ..nets.rcnn.graph import GraphSpec

_PROPOSALS = 1000
_DETECTIONS = 100
_COUNT_MAX = 1000
_SIDE_MAX = 16384
_FITS = {"refuse": "same_shape", "letterbox": "letterbox"}


@dataclass(frozen=True)
class FrameRecipe(abc.ABC):
    """Beside the net's own description, which a recipe inherits too: the frames and how they are resized."""

    frame_hw: SizeHW = (720, 1280)
    """Shape of the frames that it is exported for."""
    shorter: int = 800
    """What their shorter side is resized to,"""
    longer: int = 1333
    """unless the longer one would become more than this."""

    @property
    def takes(self) -> frozenset[str]:
        """What a bundle is for: frames of one shape, resized with it kept, and how much is looked for in them."""
        return frozenset({"size", "frame", "proposals", "detections", "target", "fit"})

    @property
    def settings(self) -> Mapping[str, Setting]:
        """None."""
        return {}

    @property
    def flow_prefix(self) -> str:
        """No flow net."""
        return ""

    @property
    @abc.abstractmethod
    def input_hw(self) -> SizeHW:
        """Frames as the original resizes them, before they are padded."""

    def with_options(self, options: ExportOptions) -> Self:
        """The same net for the frames and the scale asked for."""
        for what, count in (("--proposals", options.proposals), ("--detections", options.detections)):
            if count is not None and not 1 <= count <= _COUNT_MAX:
                raise UsageError(f"{what} {count} is outside 1..{_COUNT_MAX}")
        if options.min_score is not None and not 0 <= options.min_score < 1:
            raise UsageError(f"--min-score {options.min_score} is outside 0..1")
        shorter, longer = self.shorter, self.longer
        if options.size is not None:
            shorter, longer = options.size if len(options.size) > 1 else (options.size[0], max(longer, options.size[0]))
        chosen = replace(self, frame_hw=options.frame or self.frame_hw, shorter=shorter, longer=longer)
        chosen.require_size()
        return chosen

    def require_size(self) -> None:
        """Raise UsageError when frames cannot be resized as asked."""
        asked = f"frames of {self.frame_hw[0]}x{self.frame_hw[1]} at a size of {self.shorter},{self.longer}"
        sides = (*self.frame_hw, self.shorter, self.longer)
        if not all(1 <= side <= _SIDE_MAX for side in sides) or self.shorter > self.longer:
            raise UsageError(f"{asked}: all must lie in 1..{_SIDE_MAX}, and the smaller size comes first")
        if 0 in self.input_hw:
            raise UsageError(f"{asked} would have no pixel left on one side; give a larger --size")

    def input_spec(self, options: ExportOptions) -> InputSpec:
        """Frames of the shape that the bundle is for; others are refused unless the user chose otherwise."""
        return InputSpec(self.input_hw, options.input_dtype, _FITS[options.fit or "refuse"])

    def graph_spec(self, options: ExportOptions) -> GraphSpec:
        """What its graphs are made for; how much they look for is as in the originals where the options do not say."""
        from ..nets.rcnn.graph import GraphSpec

        return GraphSpec(self.input_hw, options.proposals or _PROPOSALS, options.detections or _DETECTIONS, options.target or "cpu")

    def same_net(self, other: Recipe) -> bool:
        """Whether both are one net, whatever their names and input sizes."""
        size = {"frame_hw": self.frame_hw, "shorter": self.shorter, "longer": self.longer}
        return isinstance(other, FrameRecipe) and replace(other, name=self.name, **size) == self
