"""What distinguishes one Mask R-CNN from another: the frozen description that nets, anchors and export are built from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from edgeseg.errors import UsageError
from edgeseg.types import Label, SizeHW

from ..config import labels_from

if TYPE_CHECKING:
    from typing import Self

PAD_MULTIPLE = 32
"""Pictures are padded right and bottom to multiples of this many pixels, so that every level halves the one before it."""
STRIDES = (4, 8, 16, 32)
"""Pixels per cell of the four levels that RoIs are taken from; the fifth, P6, serves proposals alone."""
BOX_CELLS = 7
MASK_CELLS = 14
"""Cells along one side of the features of one RoI, for its box and for its mask."""


@dataclass(frozen=True)
class Flavour:
    """How a code base computes what the weights do not say."""

    normalisation: Literal["rgb_unit", "bgr_mean"]
    """(RGB / 255 - mean) / std, or BGR - mean."""
    stride_in_1x1: bool
    """Whether a bottleneck halves its input in its first 1x1 convolution instead of the 3x3."""
    whole_anchors: bool
    """Whether the anchors' corners are rounded to whole pixels, and P6's stride is the padded side // P6's side, which need not be 64."""
    aligned: bool
    """RoIAlign: cell centres at +0.5 and no smallest RoI; else corners as they are, and RoIs of at least one cell."""
    sampling_ratio: int
    """RoIAlign: samples along one side of an output cell; 0 = as many as the cell has feature cells, rounded up."""
    level_eps_inside: float
    level_eps_outside: float
    """floor(4 + log2(sqrt(area) / 224 + inside) + outside) is the level of a RoI."""
    proposal_side_min: float
    """Proposals with a shorter side are dropped; 0 = those without area."""
    rank_by_logit: bool
    """Whether proposals are ranked by logit, or by its sigmoid, which saturates."""
    detection_side_min: float
    """Detections with a shorter side are dropped before suppression; 0 = none."""


TORCHVISION = Flavour(
    normalisation="rgb_unit",
    stride_in_1x1=False,
    whole_anchors=True,
    aligned=False,
    sampling_ratio=2,
    level_eps_inside=0.0,
    level_eps_outside=1e-6,
    proposal_side_min=1e-3,
    rank_by_logit=False,
    detection_side_min=1e-2,
)
DETECTRON2 = Flavour(
    normalisation="bgr_mean",
    stride_in_1x1=True,
    whole_anchors=False,
    aligned=True,
    sampling_ratio=0,
    level_eps_inside=1e-8,
    level_eps_outside=0.0,
    proposal_side_min=0.0,
    rank_by_logit=True,
    detection_side_min=0.0,
)


@dataclass(frozen=True)
class RcnnConfig:
    """One net. Sizes are pixels of the resized picture."""

    name: str
    labels: tuple[Label, ...]
    blocks: tuple[int, ...]
    """Bottlenecks per stage of the ResNet."""
    flavour: Flavour = TORCHVISION
    norm_eps: float = 1e-5
    """Of every batch normalisation; the COCO weights of torchvision's first generation were trained with 0."""
    normed_heads: bool = False
    """torchvision's second generation: normalised pyramid and heads, four convolutions in the box head, two in the RPN."""
    masks: bool = True
    """Whether it has the mask branch: else it is a Faster R-CNN."""
    base_width: int = 64
    """Channels of the stem."""
    fpn_channels: int = 256
    box_channels: int = 1024
    """Width of the box head's linear layers."""
    mask_channels: int = 256
    anchor_sides: tuple[float, ...] = (32.0, 64.0, 128.0, 256.0, 512.0)
    """Of P2 to P6: the side of a square anchor."""
    aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Height over width."""
    level_side: float = 224.0
    """RoIs of this side belong to P4, those of half of it to P3."""

    def __post_init__(self) -> None:
        if not self.labels:
            raise UsageError(f"{self.name}: the list of class names is empty; give at least one name")

    @property
    def num_classes(self) -> int:
        """Classes including the background, which is index 0 of the net's logits."""
        return len(self.labels) + 1

    @property
    def anchors_per_cell(self) -> int:
        """The same on every level."""
        return len(self.aspect_ratios)

    def with_labels(self, names: Sequence[str]) -> Self:
        """The same net for other classes; category ids count from 1."""
        return replace(self, labels=labels_from(names))


def padded_hw(size_hw: SizeHW) -> SizeHW:
    """The size that a resized picture is padded to."""
    height, width = (-(-side // PAD_MULTIPLE) * PAD_MULTIPLE for side in size_hw)
    return height, width


def level_sizes(size_hw: SizeHW) -> tuple[SizeHW, ...]:
    """Rows and columns of P2 to P6 for a resized picture of that size."""
    height, width = padded_hw(size_hw)
    pooled = tuple((height // stride, width // stride) for stride in STRIDES)
    rows, columns = pooled[-1]
    return *pooled, ((rows + 1) // 2, (columns + 1) // 2)
