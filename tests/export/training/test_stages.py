"""The stages that train a video branch: what they change, what they leave alone, and that they learn."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from edgeseg.errors import CheckpointError, UsageError
from export.checkpoints import load_checkpoint
from export.nets.config import BackboneSpec, FlowSpec
from export.nets.flow import YolactVideo
from export.recipes import RECIPES
from export.training import __main__ as training
from export.training.branch import begin_branch
from export.training.stages import FLOW_REPEATS, VIDEO_REPEATS, FlowStage, VideoStage

IMAGE = replace(
    RECIPES["yolact_demo"],
    name="tiny",
    size=128,
    backbone=BackboneSpec("resnet", selected=(1, 2, 3), blocks=(1, 1, 1, 1), base_width=8),
    fpn_channels=8,
    proto_channels=8,
    head_channels=8,
    mask_dim=4,
)
VIDEO = replace(IMAGE, name="tiny_video", flow=FlowSpec(encode_channels=4))
BRANCH = ("flow_net.", "flow_net_pre_convs.", "spa.")


@pytest.fixture(autouse=True)
def _few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.training.data.SCENES_PER_ROUND", 2)


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Run a stage from a file to a file of the given name."""
    monkeypatch.setitem(RECIPES, "tiny", IMAGE)
    monkeypatch.setitem(RECIPES, "tiny_video", VIDEO)

    def run(stage: str, start: Path | None, name: str, iterations: int = 3, seed: int = 0) -> Path:
        out = tmp_path / name
        recipe = "tiny" if stage == "image" else "tiny_video"
        training.train(
            argparse.Namespace(
                stage=stage,
                start=start,
                recipe=recipe,
                out=out,
                iterations=iterations,
                learning_rate=1e-1,
                seed=seed,
                minutes=None,
                device="cpu",
                workers=1,
            )
        )
        return out

    return run


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An untrained image model's file."""
    torch.manual_seed(5)
    file = tmp_path / "image.pth"
    torch.save(IMAGE.build_net().state_dict(), file)
    return file


def _changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name, value in after.items() if name not in before or not torch.equal(value, before[name])}


def _video_net() -> YolactVideo:
    torch.manual_seed(0)
    net = YolactVideo(VIDEO)
    begin_branch(net)
    return net


def test_all_stages_follow_each_other_and_leave_the_image_model_alone(train: Callable[..., Path], image: Path) -> None:
    """The flow stage changes the flow net and what feeds it, the video stage all of the branch; statistics of the trunk stay too."""
    flow = train("flow", image, "flow.pth")
    video = train("video", flow, "video.pth")
    states = [torch.load(file, weights_only=True) for file in (image, flow, video)]

    assert all(name.startswith(BRANCH) for name in _changed(states[0], states[1]))
    by_video = _changed(states[1], states[2])
    assert all(name.startswith(BRANCH) for name in by_video)
    assert {name.split(".")[0] for name in by_video} == {"flow_net", "flow_net_pre_convs", "spa"}
    assert not any(name.startswith("spa.") and states[1][name].any() for name in states[1])
    assert isinstance(load_checkpoint(video, VIDEO), YolactVideo)
    assert sorted(path.name for path in video.parent.iterdir()) == ["flow.pth", "image.pth", "video.pth"]


@pytest.mark.parametrize("stage", ["flow", "video"])
def test_a_stage_is_a_function_of_its_seed(train: Callable[..., Path], image: Path, stage: str) -> None:
    """The same seed gives the same weights, another one others."""
    start = image if stage == "flow" else train("flow", image, "start.pth", 1)
    files = [train(stage, start, f"{number}.pth", 2, seed) for number, seed in enumerate((1, 1, 2))]
    first, again, other = (torch.load(file, weights_only=True) for file in files)

    assert all(torch.allclose(first[name].float(), again[name].float(), atol=1e-5) for name in first)
    assert any(not torch.allclose(first[name].float(), other[name].float(), atol=1e-3) for name in first)


def test_a_stage_wants_the_weights_of_the_one_before(train: Callable[..., Path], image: Path) -> None:
    """Missing, superfluous or another stage's: each is said before anything is trained."""
    with pytest.raises(UsageError, match="--from"):
        train("flow", None, "out.pth")
    with pytest.raises(UsageError, match="--from"):
        train("image", image, "out.pth")
    with pytest.raises(CheckpointError, match="flow_net"):
        train("video", image, "out.pth")
    assert not (image.parent / "out.pth").exists()


@pytest.mark.parametrize(("stage", "recipe"), [("image", "tiny_video"), ("flow", "tiny"), ("video", "tiny")])
def test_a_stage_wants_a_recipe_of_its_kind(train: Callable[..., Path], image: Path, stage: str, recipe: str) -> None:
    """Image models have no branch to train, and video models are trained from image models."""
    arguments = argparse.Namespace(
        stage=stage, start=image, recipe=recipe, out=image, iterations=1, learning_rate=1e-2, seed=0, minutes=None, device="cpu", workers=1
    )
    with pytest.raises(UsageError, match=f"{recipe} has no stage {stage}"):
        training.train(arguments)


@pytest.mark.parametrize(("stage", "repeats"), [(FlowStage, FLOW_REPEATS), (VideoStage, VIDEO_REPEATS)])
def test_batches_are_drawn_for_all_iterations_and_come_back(stage: type[FlowStage | VideoStage], repeats: int) -> None:
    """No more batches than needed; each gives itself and its repeats."""
    made = stage(_video_net(), VIDEO, 0)
    batches = made.batches(10, 0)

    assert len(batches) == math.ceil(10 / (1 + repeats))  # type: ignore[arg-type]
    assert len(list(made.examples(batches[0]))) == 1 + repeats


@pytest.mark.parametrize("stage", [FlowStage, VideoStage])
def test_losses_of_a_new_branch_reach_what_is_trained_and_nothing_else(stage: type[FlowStage | VideoStage]) -> None:
    """Finite terms, and gradients in the branch only."""
    made = stage(_video_net(), VIDEO, 0)
    losses = made.losses(next(made.examples(made.batches(1, 0)[0])))
    sum(losses.values()).backward()

    assert all(value.isfinite() for value in losses.values())
    reached = {name.split(".")[0] for name, p in made.net.named_parameters() if p.grad is not None}
    assert reached == ({"flow_net", "flow_net_pre_convs"} if stage is FlowStage else {"flow_net", "flow_net_pre_convs", "spa"})


def test_the_wanted_flow_costs_the_flow_stage_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The levels of prediction and truth belong together."""
    made = FlowStage(_video_net(), VIDEO, 0)
    example = next(made.examples(made.batches(1, 0)[0]))
    assert sum(value.item() for value in made.losses(example).values()) > 0.01

    right = [
        made.net.predict_flow(example.lateral.float(), example.key_lateral.float())[k]._replace(flow=example.flows[k].flow) for k in (0, 1)
    ]
    monkeypatch.setattr(made.net, "predict_flow", lambda *_: right)
    assert sum(value.item() for value in made.losses(example).values()) < 1e-3


def test_the_current_frames_own_features_cost_no_feature_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a new branch's warp costs as much as the key frame's features differ."""
    made = VideoStage(_video_net(), VIDEO, 0)
    example = next(made.examples(made.batches(1, 0)[0]))
    assert made.losses(example)["feature"] > 0.1

    monkeypatch.setattr(made.net, "warped_sums", lambda *_: example.sums)
    assert made.losses(example)["feature"] < 1e-6


def test_a_new_branch_hands_the_key_frames_features_on() -> None:
    """P4 and P5 as they were, P3 from P4 and the current lateral; its first channels are blind to what both frames share."""
    net = _video_net()
    lateral, key_lateral = torch.randn(2, 1, 8, 16, 16).unbind(0)
    p4, p5 = torch.randn(1, 8, 8, 8), torch.randn(1, 8, 4, 4)
    with torch.no_grad():
        sums = net.warped_sums(net.predict_flow(lateral, key_lateral), (p4, p5), lateral)
        first = net.flow_net.conv1[0](net.flow_net_pre_convs(lateral).repeat(1, 2, 1, 1))

    torch.testing.assert_close(sums[1], p4, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(sums[2], p5, atol=1e-5, rtol=1e-5)
    upscaled = torch.nn.functional.interpolate(p4, size=(16, 16), mode="bilinear", align_corners=False)
    torch.testing.assert_close(sums[0], upscaled + lateral, atol=1e-5, rtol=1e-5)
    assert first[:, :2].abs().max() < 1e-5
    assert first[:, 2:].abs().max() > 0.1
