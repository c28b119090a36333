"""Proposals against plain loops, by the rules of both code bases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeseg.types import F32Array, SizeHW
from export.nets.panoptic.anchors import level_anchors
from export.nets.panoptic.boxes import with_corners
from export.nets.panoptic.config import UPSNET, VPSNET, Flavour, PanopticConfig
from export.nets.panoptic.proposals import ProposalSelector
from export.nets.rcnn.config import level_sizes
from export.nets.rcnn.net import Proposed
from export.nets.rcnn.operators import op_select
from export.nets.rcnn.select import Select, matrix_select
from tests.export.nets.panoptic import reference
from tests.export.nets.panoptic.test_anchors import ONE

FORMS = {"operator": op_select, "matrix": matrix_select}
CASES = 70
PER_LEVEL, COUNT = 30, 40
Said = list[tuple[F32Array, F32Array]]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("flavour", [UPSNET, VPSNET], ids=["upsnet", "vpsnet"])
def test_proposals_are_those_of_the_plain_loop(flavour: Flavour, form: Select) -> None:
    """On small pictures of all shapes, with collapsed, huge and outlying boxes: the same boxes in the same order."""
    config = replace(ONE, flavour=flavour)
    random = np.random.default_rng(6)
    for _ in range(CASES):
        size_hw = (int(random.integers(3, 100)), int(random.integers(3, 100)))
        said = _said(random, size_hw)
        selector = ProposalSelector(config, size_hw, COUNT, form)
        selector.per_level = PER_LEVEL

        found = selector([Proposed(torch.from_numpy(logits)[None], torch.from_numpy(offsets)[None]) for logits, offsets in said])

        wanted = _wanted(config, size_hw, said)
        assert int(found.valid.sum()) == len(wanted)
        np.testing.assert_allclose(with_corners(found.boxes[: len(wanted)]), wanted, atol=2e-4)


def _said(random: np.random.Generator, size_hw: SizeHW) -> Said:
    """An RPN's made-up word on each level: logits that all differ, offsets of which some are far out."""
    counts = [3 * rows * columns for rows, columns in level_sizes(size_hw)]
    logits = (random.permutation(sum(counts)) * (8 / sum(counts)) - 4).astype(np.float32)
    offsets = random.normal(0, 0.4, (sum(counts), 4)) * np.where(random.random((sum(counts), 1)) < 0.1, 12, 1)
    ends = np.cumsum(counts)[:-1]
    return list(zip(np.split(logits, ends), np.split(offsets.astype(np.float32), ends), strict=True))


def _wanted(config: PanopticConfig, size_hw: SizeHW, said: Said) -> np.ndarray:
    levels = zip(level_anchors(config, size_hw), said, strict=True)
    limited = config.flavour == VPSNET
    found = [(reference.moved(anchors, offsets, size_hw, limited), logits) for anchors, (logits, offsets) in levels]
    return reference.proposals(found, PER_LEVEL, COUNT)[0]


@pytest.mark.parametrize(("flavour", "width"), [(UPSNET, 32 * np.exp(-5.0)), (VPSNET, 32 * 16 / 1000)], ids=["upsnet", "vpsnet"])
def test_only_vpsnet_limits_how_much_a_box_shrinks(flavour: Flavour, width: float) -> None:
    """To a sixty-second part; both keep what is left of it."""
    config = replace(ONE, flavour=flavour)
    said = [Proposed(torch.full((1, len(level)), -9.0), torch.zeros(1, len(level), 4)) for level in level_anchors(config, (64, 64))]
    said[0].logits[0, 1], said[0].offsets[0, 1] = 9.0, torch.tensor([0.5, 0.5, -5.0, 0.0])

    best = ProposalSelector(config, (64, 64), 10, op_select)(said).boxes[0]

    assert float(best[2] - best[0]) == pytest.approx(width, rel=1e-4)
