"""What distinguishes one UPSNet or VPSNet from another: the frozen description that nets, anchors and export are built from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgeseg.errors import UsageError
from edgeseg.types import Label

from ..config import labels_from

if TYPE_CHECKING:
    from typing import Self

_STUFF_MARK = "stuff:"


@dataclass(frozen=True)
class Flavour:
    """How a code base computes what the weights do not say."""

    mean_bgr: tuple[float, float, float]
    std_bgr: tuple[float, float, float] | None
    """None: not divided."""
    rgb: bool
    """Whether the net sees RGB."""
    stride_in_1x1: bool
    """Whether a bottleneck halves its input in its first 1x1 convolution instead of the 3x3."""
    whole_base_anchors: bool
    """Whether a cell's anchors are rounded before they are scaled up from one stride's side (else after it)."""
    proposal_shrink_limited: bool
    """Whether the RPN's offsets of the size are limited downwards too."""
    candidates_in_padding: bool
    """Whether detections may reach into the padding; proposals never do."""
    roi_ends_inclusive: bool
    """RoIAlign: a RoI ends at x2 + 1, and may be smaller than a cell; else at x2, and it is a cell at least."""
    void: bool
    """Whether pixels that look like a thing outside of all detections stay without a class."""


UPSNET = Flavour(
    mean_bgr=(102.9801, 115.9465, 122.7717),
    std_bgr=None,
    rgb=False,
    stride_in_1x1=True,
    whole_base_anchors=True,
    proposal_shrink_limited=False,
    candidates_in_padding=False,
    roi_ends_inclusive=False,
    void=True,
)
VPSNET = Flavour(
    mean_bgr=(103.53, 116.28, 123.675),
    std_bgr=(57.375, 57.12, 58.395),
    rgb=True,
    stride_in_1x1=False,
    whole_base_anchors=False,
    proposal_shrink_limited=True,
    candidates_in_padding=True,
    roi_ends_inclusive=True,
    void=False,
)


@dataclass(frozen=True)
class FuseSpec:
    """The module of a VPSNet that adds an earlier frame's features."""

    flow_width: float | None = None
    """Of a small FlowNetS, as a part of the full one's channels; None = FlowNet2, which the published nets have."""


@dataclass(frozen=True)
class PanopticConfig:
    """One net. Labels are the channels of the semantic head: stuff first, then things."""

    name: str
    labels: tuple[Label, ...]
    blocks: tuple[int, ...]
    """Bottlenecks per stage of the ResNet."""
    flavour: Flavour = UPSNET
    deformable: bool = False
    """Whether every 3x3 convolution of the ResNet's last three stages is."""
    gap: bool = False
    """Whether the mean of the deepest map is added to the pyramid."""
    semantic_channels: tuple[int, ...] = (256, 128, 128)
    """Outputs of the semantic head's deformable convolutions."""
    fuse: FuseSpec | None = None
    """None = every picture by itself."""
    embedding: int | None = None
    """Length of the track head's vectors; None = no track head."""
    base_width: int = 64
    """Channels of the stem."""
    fpn_channels: int = 256
    box_channels: int = 1024
    """Width of the linear layers of the box head and of the track head."""
    mask_channels: int = 256
    norm_groups: int = 32
    """Of the semantic head, where it is normalised."""
    anchor_scale: float = 8.0
    """Side of a square anchor, in strides of its level."""
    aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Height over width."""
    level_side: float = 224.0
    """RoIs of this side belong to P4, those of half of it to P3."""

    def __post_init__(self) -> None:
        kinds = [label.is_thing for label in self.labels]
        if not any(kinds):
            raise UsageError(f"{self.name}: the list of class names has no thing; give at least one")
        if kinds != sorted(kinds):
            raise UsageError(f"{self.name}: all names of stuff ({_STUFF_MARK} ...) must come before those of things, as in the net")

    @property
    def stuff_count(self) -> int:
        """Labels that are stuff; the first of all."""
        return sum(not label.is_thing for label in self.labels)

    @property
    def num_classes(self) -> int:
        """Classes of the box and mask heads: the background, which is index 0, and the things."""
        return len(self.labels) - self.stuff_count + 1

    @property
    def anchors_per_cell(self) -> int:
        """The same on every level."""
        return len(self.aspect_ratios)

    def with_labels(self, names: Sequence[str]) -> Self:
        """The same net for other classes: names of stuff are marked ``stuff: NAME`` and come first; category ids count from 1."""
        stuff = [name.strip().startswith(_STUFF_MARK) for name in names]
        plain = labels_from([name.strip().removeprefix(_STUFF_MARK) for name in names])
        return replace(self, labels=tuple(replace(label, is_thing=not is_stuff) for label, is_stuff in zip(plain, stuff, strict=True)))
