"""What the fuse module and the flow nets compute, cell by cell in plain numpy: slow, and without a trick.

Maps are (C, H, W) float64 without a batch; flows are (2, H, W), x and y in cells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgeseg.types import AnyArray

_SLOPE = 0.1


def correlation(first: AnyArray, second: AnyArray, radius: int, step: int) -> AnyArray:
    """Of each cell, the mean product with its neighbours: row by row of them, from above left."""
    _, height, width = first.shape
    offsets = [step * offset for offset in range(-radius, radius + 1)]
    out = np.zeros((len(offsets) ** 2, height, width))
    for channel, (dy, dx) in enumerate((dy, dx) for dy in offsets for dx in offsets):
        for y in range(max(0, -dy), min(height, height - dy)):
            for x in range(max(0, -dx), min(width, width - dx)):
                out[channel, y, x] = first[:, y, x] @ second[:, y + dy, x + dx] / len(first)
    return out


def sampled(features: AnyArray, y: float, x: float, corner: Callable[[AnyArray, int, int], AnyArray | float]) -> AnyArray:
    """(C,) at a point between cells, from its four corners."""
    top, left = math.floor(y), math.floor(x)
    total = np.zeros(len(features))
    for row, by_row in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, by_column in ((left, 1 - (x - left)), (left + 1, x - left)):
            total += by_row * by_column * corner(features, row, column)
    return total


def zero_outside(features: AnyArray, row: int, column: int) -> AnyArray | float:
    """A corner outside the map counts as 0."""
    inside = 0 <= row < features.shape[1] and 0 <= column < features.shape[2]
    return features[:, row, column] if inside else 0.0


def edge_outside(features: AnyArray, row: int, column: int) -> AnyArray:
    """A corner outside the map is the nearest cell of its edge."""
    return features[:, min(max(row, 0), features.shape[1] - 1), min(max(column, 0), features.shape[2] - 1)]


def warped(features: AnyArray, flow: AnyArray) -> AnyArray:
    """The map of n cells whose centres -1 and 1 were meant for, read with -1 and 1 at its edges."""
    _, height, width = features.shape
    out = np.empty(features.shape)
    for y in range(height):
        for x in range(width):
            at_y = (y + flow[1, y, x]) * height / (height - 1) - 0.5
            at_x = (x + flow[0, y, x]) * width / (width - 1) - 0.5
            out[:, y, x] = sampled(features, at_y, at_x, zero_outside)
    return out


def resampled(image: AnyArray, flow: AnyArray) -> AnyArray:
    """Where the flow points to."""
    _, height, width = image.shape
    out = np.empty(image.shape)
    for y in range(height):
        for x in range(width):
            out[:, y, x] = sampled(image, y + flow[1, y, x], x + flow[0, y, x], edge_outside)
    return out


def strongest(x: AnyArray, size: tuple[int, int]) -> AnyArray:
    """The maximum of each of the ``size`` parts; parts share the cells that lie in both."""
    _, height, width = x.shape
    out = np.empty((len(x), *size))
    for i in range(size[0]):
        rows = slice(i * height // size[0], math.ceil((i + 1) * height / size[0]))
        for j in range(size[1]):
            columns = slice(j * width // size[1], math.ceil((j + 1) * width / size[1]))
            out[:, i, j] = x[:, rows, columns].max((1, 2))
    return out


def gathered(levels: Sequence[AnyArray]) -> AnyArray:
    """The mean of all levels; a cell of the first sees the cell of each other that lies where it does."""
    _, height, width = levels[0].shape
    total = np.zeros(levels[0].shape)
    for level in levels:
        for y in range(height):
            for x in range(width):
                total[:, y, x] += level[:, y * level.shape[1] // height, x * level.shape[2] // width]
    return total / len(levels)


def leaky(x: AnyArray) -> AnyArray:
    """LeakyReLU of 0.1."""
    return np.where(x > 0, x, _SLOPE * x)


def sigmoid(x: AnyArray) -> AnyArray:
    """From 0 to 1."""
    return 1 / (1 + np.exp(-x))


class Layers:
    """The convolutions of a module by their names."""

    def __init__(self, state: Mapping[str, AnyArray]) -> None:
        self.state = state

    def conv(self, name: str, x: AnyArray) -> AnyArray:
        """A convolution with bias that keeps the size."""
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        _, height, width = x.shape
        reach = weight.shape[2] // 2
        padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach)))
        out = np.zeros((len(weight), height, width)) + bias[:, None, None]
        for i in range(weight.shape[2]):
            for j in range(weight.shape[3]):
                out += np.einsum("oc,chw->ohw", weight[:, :, i, j], padded[:, i : i + height, j : j + width])
        return out


def pooled(x: AnyArray) -> AnyArray:
    """The maxima, then the means, of 3x3 cells at every second cell; the border is no candidate of a maximum and 0 in a mean."""
    _, height, width = x.shape
    lowest = np.pad(x, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    zeros = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    out = np.empty((2 * len(x), (height + 1) // 2, (width + 1) // 2))
    for i in range(out.shape[1]):
        for j in range(out.shape[2]):
            window = (slice(None), slice(2 * i, 2 * i + 3), slice(2 * j, 2 * j + 3))
            out[:, i, j] = np.concatenate((lowest[window].max((1, 2)), zeros[window].sum((1, 2)) / 9))
    return out


def doubled(x: AnyArray, size: tuple[int, int]) -> AnyArray:
    """Bilinear, between the centres of the cells."""
    out = np.empty((len(x), *size))
    for i in range(size[0]):
        for j in range(size[1]):
            out[:, i, j] = sampled(x, (i + 0.5) * x.shape[1] / size[0] - 0.5, (j + 0.5) * x.shape[2] / size[1] - 0.5, edge_outside)
    return out


def attended(layers: Layers, features: AnyArray, moved: AnyArray, prefix: str = "") -> AnyArray:
    """Temporal, then spatial attention."""
    wanted = layers.conv(f"{prefix}tAtt_2", features)
    frames = [x * sigmoid((layers.conv(f"{prefix}tAtt_1", x) * wanted).sum(0)) for x in (features, moved)]
    joined = np.concatenate(frames)
    fused = leaky(layers.conv(f"{prefix}fea_fusion", joined))
    x = pooled(leaky(layers.conv(f"{prefix}sAtt_1", joined)))
    x = leaky(layers.conv(f"{prefix}sAtt_3", leaky(layers.conv(f"{prefix}sAtt_2", x))))
    attention = layers.conv(f"{prefix}sAtt_4", doubled(x, joined.shape[1:]))
    summand = layers.conv(f"{prefix}sAtt_add_2", leaky(layers.conv(f"{prefix}sAtt_add_1", attention)))
    return fused * sigmoid(attention) * 2 + summand


def fused_levels(layers: Layers, levels: Sequence[AnyArray], reference_bsf: AnyArray, flow: AnyArray) -> list[AnyArray]:
    """The whole module."""
    bsf = gathered(levels)
    moved = warped(reference_bsf, flow)
    x = np.concatenate((bsf, correlation(bsf, moved, 4, 1), flow))
    for number in range(3):
        x = leaky(layers.conv(f"liteflownet.flow_estimator.convs.{number}.0", x))
    moved = warped(moved, layers.conv("liteflownet.flow_estimator.convs.3", x))
    refined = np.maximum(layers.conv("refine.conv", attended(layers, bsf, moved, "tcea_fusion.")), 0)
    return [level + strongest(refined, level.shape[1:]) for level in levels]
