"""RoIs of a whole batch against those that the graphs cut, and masks over them."""

from __future__ import annotations

import pytest
import torch

from export.nets.panoptic.roi import roi_pooler
from export.nets.rcnn.roi_align import grid_align
from export.training.panoptic_pool import mask_targets, pasted, pool
from tests.export.training.panoptic_frames import frames, tiny


@pytest.mark.parametrize("name", ["upsnet_demo", "vpsnet_demo"])
@pytest.mark.parametrize("cells", [7, 14])
def test_features_are_those_that_the_graph_cuts(name: str, cells: int) -> None:
    """In both flavours, on every level, for RoIs smaller than a cell and as large as the picture."""
    torch.manual_seed(0)
    config = tiny(name)
    levels = [torch.randn(2, 3, 256 // stride, 384 // stride) for stride in (4, 8, 16, 32)]
    low = torch.rand(2, 20, 2) * 150
    sides = torch.rand(2, 20, 2) ** 3 * torch.tensor([230.0, 100.0]) + 1
    rois = torch.cat([low, low + sides], dim=2)
    rois[:, 0], rois[:, 1] = torch.tensor([0.0, 0, 384, 256]), torch.tensor([5.0, 5, 6, 6])

    found = pool(levels, rois, config, cells)

    graph = roi_pooler(config, cells, grid_align)
    wanted = torch.cat([graph([level[i : i + 1] for level in levels], rois[i]) for i in range(2)])
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_the_mask_of_an_objects_own_box_is_full() -> None:
    """And half of that of a box that is twice as wide."""
    truths = frames(1).truths
    slots = torch.tensor([[0, 1, 0]])
    wide = truths.boxes[:, :1] + torch.tensor([0.0, 0, 32, 0])
    # The second object begins where this RoI ends.
    wanted = mask_targets(truths.owners, slots, torch.cat([truths.boxes[:, :2], wide], dim=1))

    assert wanted[0, :2].min() == 1
    assert wanted[0, 2, :, :14].min() == 1
    assert wanted[0, 2, :, 14:].max() == 0


def test_a_mask_lies_over_its_box_and_is_0_outside() -> None:
    """A gradient from left to right keeps its ends."""
    masks = torch.linspace(1, 2, 28).expand(1, 1, 28, 28)
    found, inside = pasted(masks, torch.tensor([[[8.0, 4, 24, 12]]]), (8, 8), 4)

    assert inside[0, 0].nonzero().tolist() == [[y, x] for y in (1, 2) for x in (2, 3, 4, 5)]
    assert not found[inside == 0].any()
    torch.testing.assert_close(found[0, 0, 1, 2:6], torch.tensor([1.11, 1.37, 1.63, 1.89]), atol=0.01, rtol=0)
