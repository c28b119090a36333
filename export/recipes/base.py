"""What a recipe is: all that checkpoint loading and export need to know of one configuration of one family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from edgeseg.families.base import IMAGE
from edgeseg.types import Label, SizeHW

if TYPE_CHECKING:
    from torch import Tensor, nn

Shapes = Mapping[str, tuple[int, ...]]
"""Parameter name -> shape."""


@dataclass(frozen=True)
class ExportOptions:
    """Choices that change the graph."""

    input_dtype: str = "uint8"
    """``uint8``, or ``float32`` for pictures that are resized in float as the originals do."""
    cross_class_nms: bool = False
    """Suppress overlapping boxes of different classes too."""


@dataclass(frozen=True)
class GraphModule:
    """One graph of a bundle before it is traced."""

    module: nn.Module
    """Takes ``image`` (1, h, w, 3) BGR and then what is carried to it; returns a tuple of tensors."""
    outputs: tuple[str, ...]
    dense: tuple[str, ...]
    """Of the outputs, those whose rows cannot change places: they are compared number by number."""
    inputs: tuple[str, ...] = (IMAGE,)
    carry: Mapping[str, str] = field(default_factory=dict)
    """Input of a later graph -> output of this one that feeds it."""


class Recipe(Protocol):
    """One line of the table that ``edgeseg export --list`` prints."""

    @property
    def name(self) -> str: ...

    @property
    def family(self) -> str:
        """The runtime family that decodes its graphs."""
        ...

    @property
    def labels(self) -> tuple[Label, ...]: ...

    @property
    def input_hw(self) -> SizeHW: ...

    @property
    def summary(self) -> str:
        """Trunk, input size and classes in a few words."""
        ...

    def with_labels(self, names: Sequence[str]) -> Recipe:
        """The same net for other classes."""
        ...

    def with_size(self, size: int) -> Recipe:
        """The same net at another square input size."""
        ...

    def same_net(self, other: Recipe) -> bool:
        """Whether both are one net, input size and anchors included, whatever their names."""
        ...

    def build_net(self) -> nn.Module:
        """The net without weights."""
        ...

    def canonical_key(self, name: str) -> str | None:
        """A file's parameter name as `build_net` calls it; None for leftovers that are to be dropped."""
        ...

    def arranged(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A file's entries under their canonical names -> the same as `build_net` holds them, where code bases order rows differently.

        Shapes are anything that a file may hold, and data may be absent (device meta).
        """
        ...

    def classes_in(self, shapes: Shapes) -> int | None:
        """How many labels a file's net has; None when it cannot be told."""
        ...

    def graphs(self, net: nn.Module, options: ExportOptions) -> dict[str, GraphModule]:
        """Graph name -> module around a loaded net; the key graph first, which alone carries something."""
        ...
