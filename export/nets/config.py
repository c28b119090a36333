"""What distinguishes one YOLACT from another: the frozen description that nets, priors and export are built from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from edgeseg.errors import UsageError
from edgeseg.types import Label

if TYPE_CHECKING:
    from typing import Self

# Five unpadded stride-2 convolutions of the MaskIoU net bring this many cells down to one.
_MASK_IOU_MIN_CELLS = 63
_MIN_SIZE = 64


@dataclass(frozen=True)
class BackboneSpec:
    """A trunk and the layers of it that become C3, C4 and C5."""

    kind: Literal["resnet", "darknet", "mobilenetv2"]
    selected: tuple[int, ...]
    """Indices into the trunk's `layers`, finest first; their strides are 8, 16 and 32."""
    blocks: tuple[int, ...] = ()
    """Residual blocks per stage (resnet, darknet)."""
    base_width: int = 64
    """Channels of the stem (resnet, darknet)."""
    dcn_blocks: tuple[int, ...] = ()
    """Blocks per stage, counted from its end, that may be deformable (resnet); empty = none."""
    dcn_interval: int = 1
    """Of those, only every n-th block of the stage is."""


@dataclass(frozen=True)
class FlowSpec:
    """The branch of a YolactEdge video model that warps a key frame's features to a later frame."""

    encode_channels: int = 64
    """Channels of the flow net's first stage, and of the lateral that it works on."""
    spa: bool = True
    """Whether the warped maps are refined with the current frame's lateral."""


@dataclass(frozen=True)
class YolactConfig:
    """One recipe. Sizes and scales are pixels of the square network input."""

    name: str
    labels: tuple[Label, ...]
    backbone: BackboneSpec
    size: int
    scales: tuple[tuple[float, ...], ...]
    """Anchor sides of P3 to P7."""
    aspect_ratios: tuple[float, ...] = (1.0, 0.5, 2.0)
    square_anchors: bool = True
    """Height = width whatever the ratio: how most official nets were trained."""
    normalisation: Literal["resnet", "darknet"] = "resnet"
    """(x - mean) / std, or x / 255."""
    fpn_channels: int = 256
    proto_channels: int = 256
    head_channels: int = 256
    mask_dim: int = 32
    mask_iou: bool = False
    """Whether the net has the MaskIoU branch of YOLACT++."""
    flow: FlowSpec | None = None
    """How frames between key frames are warped; None = an image model."""

    def __post_init__(self) -> None:
        if not self.labels:
            raise UsageError(f"{self.name}: the list of class names is empty; give at least one name")
        if self.size < _MIN_SIZE:
            raise UsageError(f"{self.name}: an input size of {self.size} is too small; the smallest is {_MIN_SIZE}")
        if self.mask_iou and self.proto_size < _MASK_IOU_MIN_CELLS:
            raise UsageError(f"{self.name}: its MaskIoU net cannot work at an input size of {self.size}; use 249 or more")

    @property
    def num_classes(self) -> int:
        """Classes including the background, which is index 0 of the net's logits."""
        return len(self.labels) + 1

    @property
    def anchors_per_cell(self) -> int:
        """The same on every level."""
        return len(self.scales[0]) * len(self.aspect_ratios)

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Cells along one side of P3 to P7."""
        sizes, side = [], self.size
        for halvings in range(1, 8):
            side = (side + 1) // 2
            if halvings >= 3:
                sizes.append(side)
        return tuple(sizes)

    @property
    def proto_size(self) -> int:
        """Cells along one side of the prototypes."""
        return 2 * self.level_sizes[0]

    @property
    def num_priors(self) -> int:
        """Anchors of all levels together."""
        return self.anchors_per_cell * sum(side**2 for side in self.level_sizes)

    def with_labels(self, names: Sequence[str]) -> Self:
        """The same net for other classes; category ids count from 1."""
        return replace(self, labels=labels_from(names))

    def with_size(self, size: int) -> Self:
        """The same net at another square input size.

        Anchor scales follow the size as in the official 400 and 700 pixel configurations: the first scale of each level is
        int(scale * size / own size), and further scales of the level keep their ratio to it.
        """
        if size == self.size:
            return self
        scales = []
        for level in self.scales:
            first = int(level[0] * size / self.size)
            scales.append(tuple(float(first * scale / level[0]) for scale in level))
        return replace(self, size=size, scales=tuple(scales))


def labels_from(names: Sequence[str]) -> tuple[Label, ...]:
    """Labels for a user's class names; category ids count from 1."""
    stripped = [name.strip() for name in names]
    if not all(stripped):
        raise UsageError(f"class {stripped.index('') + 1} has no name; every class needs one")
    twice = sorted({name for name in stripped if stripped.count(name) > 1})
    if twice:
        raise UsageError(f"class names must differ; more than once: {', '.join(twice)}")
    return tuple(Label(name, number) for number, name in enumerate(stripped, start=1))
