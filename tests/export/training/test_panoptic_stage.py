"""The stages that train panoptic nets: that all of the nets learns, on frames and on pairs, on any device."""

from __future__ import annotations

import contextlib

import pytest
import torch

from export.nets.panoptic.flownets import FlowNetS
from export.training.branch import begin_flow
from export.training.panoptic_data import Frames, Pairs
from export.training.panoptic_stage import Machine, PanopticStage
from export.training.panoptic_truth import moved
from export.training.panoptic_video import PanopticVideoStage
from tests.export.training.panoptic_frames import INPUT_HW, frames, nothing, tiny

IMAGE_TERMS = {"objectness", "proposal", "class", "box", "semantic", "mask", "panoptic"}


def _image(device: str = "cpu") -> PanopticStage:
    torch.manual_seed(0)
    return PanopticStage(tiny("upsnet_demo").build_net(), INPUT_HW, Machine(torch.device(device), 1))  # type: ignore[arg-type]


def _video(device: str = "cpu") -> PanopticVideoStage:
    torch.manual_seed(0)
    net = tiny("vpsnet_demo").build_net()
    assert isinstance(net.flownet2, FlowNetS)
    begin_flow(net.flownet2)
    return PanopticVideoStage(net, INPUT_HW, Machine(torch.device(device), 1))  # type: ignore[arg-type]


def _pairs(now: Frames, shift: int = 4) -> Pairs:
    """The things have moved since; what is behind them has not, but counts as hidden."""
    count = len(now.images)
    flow = torch.zeros(count, 2, 16, 24)
    flow[:, 0] = shift / 4
    return Pairs(now, frames(count, shift), flow, (now.truths.owners[:, 2::4, 2::4] > 0).float())


def _learnt(stage: PanopticStage, example: Frames | Pairs, iterations: int) -> list[dict[str, float]]:
    optimiser = torch.optim.AdamW(stage.net.parameters(), lr=1e-2)
    found = []
    for _ in range(iterations):
        losses = stage.losses(example)  # type: ignore[arg-type]
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
        found.append({name: value.item() for name, value in losses.items()})
    return found


def test_an_image_model_learns() -> None:
    """All terms are there, and what tells objects from nothing falls soon."""
    told = _learnt(_image(), frames(2), 6)

    assert set(told[0]) == IMAGE_TERMS
    for name in ("objectness", "class", "semantic", "panoptic"):
        assert min(part[name] for part in told) < 0.8 * told[0][name]


def test_a_video_model_learns() -> None:
    """The flow and who is who too."""
    told = _learnt(_video(), _pairs(frames(2)), 8)

    assert set(told[0]) == IMAGE_TERMS | {"flow", "track"}
    for name in ("objectness", "semantic", "flow", "track"):
        assert min(part[name] for part in told) < 0.9 * told[0][name]


@pytest.mark.parametrize("stage", [_image, _video])
def test_the_losses_reach_every_weight(stage: type[PanopticStage]) -> None:
    """With objects and without, gradients are finite."""
    made = stage()
    for seen in (frames(2), nothing(2)):
        made.net.zero_grad()
        example = _pairs(seen) if isinstance(made, PanopticVideoStage) else seen
        sum(made.losses(example).values()).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in made.net.parameters())


def test_the_flow_net_learns_from_flow_alone() -> None:
    """Gradients of all other terms leave it as it is."""
    made = _video()
    losses = made.losses(_pairs(frames(2)))
    flow = losses.pop("flow")
    sum(losses.values()).backward(retain_graph=True)
    assert all(p.grad is None for p in made.net.flownet2.parameters())
    flow.backward()
    assert all(p.grad is not None for p in made.net.flownet2.parameters())


@pytest.mark.parametrize("stage", [_image, _video])
def test_no_tensor_stays_behind_on_the_cpu(stage: type[PanopticStage], monkeypatch: pytest.MonkeyPatch) -> None:
    """And no shape depends on data: this device has none."""
    made = stage("meta")
    monkeypatch.setattr(made, "_halved", contextlib.nullcontext)
    example = frames(2) if not isinstance(made, PanopticVideoStage) else _pairs(frames(2))

    losses = made.losses(moved(example, torch.device("meta")))  # type: ignore[arg-type, type-var]
    sum(losses.values()).backward()

    assert {value.device.type for value in losses.values()} == {"meta"}


def test_pictures_are_padded_with_zeros() -> None:
    """Right and bottom, after the mean was taken off."""
    prepared = _image()._prepared(torch.zeros(1, *INPUT_HW, 3, dtype=torch.uint8))

    assert tuple(prepared.shape) == (1, 3, 64, 96)
    assert prepared[:, :, :60].max() < -100
    assert not prepared[:, :, 60:].any()
