"""What all trunks do: run their layers in a row and keep the maps of some."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


def selected_maps(layers: nn.ModuleList, x: Tensor, selected: Sequence[int]) -> tuple[Tensor, ...]:
    """The outputs of the layers named by ``selected``, ascending; layers behind the last of them are not computed."""
    maps = []
    for index in range(selected[-1] + 1):
        x = layers[index](x)
        if index in selected:
            maps.append(x)
    return tuple(maps)
