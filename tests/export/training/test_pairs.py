"""Frame pairs and the flow that is wanted between them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeseg.sources.synthetic import Scene, SceneConfig, SceneFlow
from export.nets.flow import FLOW_UNIT
from export.training.data import FRAME_COUNT
from export.training.flow_loss import end_point_error, feature_error
from export.training.pairs import GAP_MAX, FlowTarget, FramePairs, PairBatch, flow_target


@pytest.fixture(scope="module")
def batch() -> PairBatch:
    """The first batch of a run."""
    return FramePairs(4, 64, 16, (8, 4), seed=0)[0]


def test_a_batch_has_pairs_their_truth_and_their_flow(batch: PairBatch) -> None:
    """Network-sized BGR bytes that differ within a pair; flow and weight at each size."""
    assert batch.key.shape == batch.current.shape == (16, 64, 64, 3)
    assert batch.key.dtype == batch.current.dtype == torch.uint8
    assert not any(torch.equal(key, current) for key, current in zip(batch.key, batch.current, strict=True))
    assert len(batch.targets) == 16
    for flow, size in zip(batch.flows, (8, 4), strict=True):
        assert flow.flow.shape == (16, 2, size, size)
        assert flow.weight.shape == (16, size, size)
        assert flow.flow.dtype == flow.weight.dtype == torch.float32
        assert flow.weight.min() >= 0
        assert flow.weight.max() <= 1
        assert flow.weight.mean() > 0.8
        assert flow.flow.abs().max() > 0


def test_pairs_are_a_function_of_their_number_and_the_seed(batch: PairBatch) -> None:
    """Reproducible, and different from each other."""
    again, other = FramePairs(4, 64, 16, (8, 4), seed=0), FramePairs(4, 64, 16, (8, 4), seed=1)

    assert torch.equal(again[0].key, batch.key)
    assert torch.equal(again[0].flows[0].flow, batch.flows[0].flow)
    assert not torch.equal(again[1].current, batch.current)
    assert not torch.equal(other[0].current, batch.current)
    assert len(again) == 4


def test_key_frames_are_before_and_after_at_all_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never the current frame itself, never outside the clip, up to the longest gap both ways."""
    asked: list[tuple[int, int]] = []
    flow = Scene.flow

    def spy(scene: Scene, index: int, to: int) -> SceneFlow:
        asked.append((index, to))
        return flow(scene, index, to)

    monkeypatch.setattr(Scene, "flow", spy)
    for i in range(8):
        FramePairs(8, 32, 8, (4,), seed=3)[i]

    gaps = {to - index for index, to in asked}
    assert gaps == set(range(-GAP_MAX, GAP_MAX + 1)) - {0}
    assert all(0 <= frame < FRAME_COUNT for pair in asked for frame in pair)


def test_wanted_flow_is_the_mean_over_what_both_frames_show() -> None:
    """Cell by cell, from a loop over pixels, in eighths of coordinates that run from -1 to 1 between the outer cells."""
    flow = Scene(SceneConfig(seed=5, size_hw=(96, 128))).flow(10, 18)
    target = flow_target(flow, 8)

    assert target.weight[0].min() < 1
    for row, column in np.ndindex(8, 8):
        window = slice(12 * row, 12 * row + 12), slice(16 * column, 16 * column + 16)
        shown = [flow.displacement[window][at] for at in np.ndindex(12, 16) if flow.visible[window][at]]
        assert target.weight[0, row, column].item() == pytest.approx(len(shown) / 192, abs=1e-6)
        wanted = np.mean(shown, axis=0) / (16, 12) * 2 / 7 * 8 if shown else np.zeros(2)
        np.testing.assert_allclose(target.flow[0, :, row, column], wanted, atol=1e-4)


def test_the_wanted_flow_warps_the_key_frame_onto_the_current_one() -> None:
    """A map of the key frame that is one cell to the right, read as YolactEdge reads it, is the current frame's."""
    size = 10
    current = torch.randn(1, 3, size, size)
    key = current.roll(1, dims=3)
    everywhere = np.ones((40, 80), bool)
    one_cell = np.zeros((40, 80, 2), np.float32)
    one_cell[..., 0] = 80 / size

    flow = flow_target(SceneFlow(one_cell, everywhere, everywhere), size).flow

    steps = torch.linspace(-1, 1, size)
    grid = torch.stack([steps.expand(size, size), steps[:, None].expand(size, size)], dim=-1) + flow.permute(0, 2, 3, 1) / FLOW_UNIT
    warped = torch.nn.functional.grid_sample(key, grid, align_corners=True)
    torch.testing.assert_close(warped[..., :-1], current[..., :-1], atol=1e-5, rtol=1e-5)


def test_the_end_point_error_is_the_mean_distance_in_cells() -> None:
    """Wrong by (3, 4) cells at one cell of weight 1, by nothing at one of weight 0.5, by a lot where nothing is known."""
    flow, weight = torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 3)
    weight[0, 0, 0], weight[0, 1, 1] = 1.0, 0.5
    found = torch.full((1, 2, 3, 3), 99.0)
    # One cell is one unit of normalised coordinates here: eight of the network's.
    found[0, :, 0, 0] = torch.tensor([24.0, 32.0])
    found[0, :, 1, 1] = 0

    assert end_point_error(found, FlowTarget(flow, weight)).item() == pytest.approx(5 / 1.5, rel=1e-3)


def test_errors_have_finite_slopes_where_they_vanish() -> None:
    """At the truth itself, and when nothing at all is visible."""
    flow = torch.zeros(1, 2, 3, 3, requires_grad=True)
    for weight in (torch.ones(1, 3, 3), torch.zeros(1, 3, 3)):
        end_point_error(flow, FlowTarget(torch.zeros(1, 2, 3, 3), weight)).backward()
    assert flow.grad is not None
    assert flow.grad.isfinite().all()


def test_the_feature_error_does_not_depend_on_a_levels_scale() -> None:
    """Off by half a mean deviation on one level and right on the other: a quarter, whatever the units."""
    truth = torch.tensor([-1.0, 1.0, -1.0, 1.0]).reshape(1, 1, 2, 2)
    for scale in (1.0, 50.0):
        wanted = [truth * scale, truth]
        found = [(truth + 0.5) * scale, truth.clone()]
        assert feature_error(found, wanted).item() == pytest.approx(0.25)
