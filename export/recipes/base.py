"""What a recipe is: all that checkpoint loading and export need to know of one configuration of one family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Protocol

from edgeseg.bundle import InputSpec, Setting
from edgeseg.errors import UsageError
from edgeseg.families.base import IMAGE
from edgeseg.types import Label, SizeHW

if TYPE_CHECKING:
    from torch import Tensor, nn

Shapes = Mapping[str, tuple[int, ...]]
"""Parameter name -> shape."""


@dataclass(frozen=True)
class ExportOptions:
    """Choices that change the graph or its input. Every recipe says which it takes; None and False leave it to the recipe."""

    input_dtype: str = "uint8"
    """``uint8``, or ``float32`` for pictures that are resized in float as the originals do. All recipes take it."""
    size: tuple[int, ...] | None = None
    """Side of a square input; or the shortest side of the resized picture and, if given, the longest that this may lead to."""
    cross_class_nms: bool = False
    """Suppress overlapping boxes of different classes too."""
    frame: SizeHW | None = None
    """Shape of the frames that the bundle is for."""
    proposals: int | None = None
    """Boxes that the second stage looks at."""
    detections: int | None = None
    """Detections in a picture at most."""
    min_score: float | None = None
    """Score that detections must be above: what scores less costs nothing more."""
    target: str | None = None
    """``cpu``, or ``tensorrt`` for a graph without the operators that TensorRT lacks."""
    fit: str | None = None
    """What is done with frames of another shape: ``refuse`` or ``letterbox``."""


@dataclass(frozen=True)
class GraphModule:
    """One graph of a bundle before it is traced."""

    module: nn.Module
    """Takes ``image`` (1, h, w, 3) BGR and then what is carried to it; returns a tuple of tensors."""
    outputs: tuple[str, ...]
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
    def takes(self) -> frozenset[str]:
        """The fields of `ExportOptions` that it takes, besides those that all do."""
        ...

    @property
    def settings(self) -> Mapping[str, Setting]:
        """What its family cannot see in the graphs; for the bundle."""
        ...

    @property
    def flow_prefix(self) -> str:
        """How the names of the flow net's weights begin that may come in a file of their own; empty where there are none."""
        ...

    @property
    def summary(self) -> str:
        """Trunk, input size and classes in a few words."""
        ...

    def with_labels(self, names: Sequence[str]) -> Recipe:
        """The same net for other classes."""
        ...

    def with_options(self, options: ExportOptions) -> Recipe:
        """The same net at the input size that the options ask for; raises UsageError when they ask for something impossible."""
        ...

    def input_spec(self, options: ExportOptions) -> InputSpec:
        """The ``image`` input of its graphs."""
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


def configured(recipe: Recipe, options: ExportOptions) -> Recipe:
    """The recipe as the options ask for it.

    Raises:
        UsageError: it does not take one of them, or cannot fulfil it.
    """
    given = [option.name for option in fields(options) if getattr(options, option.name) != option.default]
    for name in given:
        if name != "input_dtype" and name not in recipe.takes:
            taken = ", ".join(_flag(option.name) for option in fields(options) if option.name in recipe.takes)
            raise UsageError(f"{recipe.name} does not take {_flag(name)}; of the options that change a graph it takes {taken}")
    return recipe.with_options(options)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
