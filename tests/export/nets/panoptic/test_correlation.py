"""Cost volumes against loops over cells and neighbours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from export.nets.panoptic import correlation as module
from export.nets.panoptic.correlation import correlation
from tests.export.nets.panoptic import plain_flow as plain

CASES = 400


def random_maps(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Two maps of the same random small shape, float64."""
    shape = (random.integers(1, 3), random.integers(1, 4), random.integers(1, 6), random.integers(1, 9))
    return torch.from_numpy(random.normal(size=shape)), torch.from_numpy(random.normal(size=shape))


def test_costs_are_those_of_the_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """For neighbours at every distance, maps smaller than the window, and rows of several tiles that they do not divide into."""
    random = np.random.default_rng(0)

    for _ in range(CASES):
        first, second = random_maps(random)
        radius, step = (int(number) for number in (random.integers(0, 4), random.integers(1, 4)))
        monkeypatch.setattr(module, "_TILE", int(random.integers(1, 6)))
        found = correlation(first, second, radius, step)
        wanted = [plain.correlation(a, b, radius, step) for a, b in zip(first.numpy(), second.numpy(), strict=True)]
        np.testing.assert_allclose(found, np.stack(wanted), atol=1e-12)


@pytest.mark.parametrize(("radius", "step", "channels"), [(4, 1, 81), (10, 2, 441)])
def test_the_channel_of_a_cell_found_elsewhere_says_where(radius: int, step: int, channels: int) -> None:
    """Two rows below and four columns to the left, in the windows of the fuse module and of FlowNetC."""
    first, second = torch.zeros(2, 1, 2, 9, 11)
    first[0, :, 3, 6] = second[0, :, 5, 2] = 1

    found = correlation(first, second, radius, step)

    channel = (2 // step + radius) * (2 * radius + 1) + (-4 // step + radius)
    assert found.shape == (1, channels, 9, 11)
    assert found.nonzero().tolist() == [[0, channel, 3, 6]]
