"""The training command: its schedule, its data, and that what it saves can be exported."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeseg.errors import UsageError
from edgeseg.sources.synthetic import HELD_OUT_FIRST_SEED, LABELS
from export.checkpoints import load_checkpoint
from export.nets.config import BackboneSpec
from export.recipes import RECIPES
from export.recipes.base import Recipe
from export.training import __main__ as training
from export.training import loop
from export.training.data import FIRST_SEED, SCENES_PER_ROUND, SLIVER, PictureSizes, SyntheticBatches, target_of
from export.training.loss import Target

TINY = replace(
    RECIPES["yolact_demo"],
    name="tiny",
    size=128,
    backbone=BackboneSpec("resnet", selected=(1, 2, 3), blocks=(1, 1, 1, 1), base_width=8),
    fpn_channels=8,
    proto_channels=8,
    head_channels=8,
    mask_dim=4,
)
SIZES = PictureSizes(input_hw=(48, 64), mask_hw=(12, 16))


@pytest.mark.parametrize(
    ("iteration", "iterations", "factor"),
    [(0, 4000, 1 / 200), (99, 4000, 0.5), (199, 4000, 1.0), (200, 4000, 1.0), (2100, 4000, 0.505), (4000, 4000, 0.01), (9000, 4000, 0.01)],
)
def test_the_learning_rate_warms_up_and_falls_as_half_a_cosine(iteration: int, iterations: int, factor: float) -> None:
    """From a two-hundredth to the whole, then down to a hundredth, and no further."""
    assert loop.learning_rate_factor(iteration, iterations) == pytest.approx(factor)


@pytest.mark.parametrize("iterations", [1, 2, 200, 201])
def test_a_run_no_longer_than_the_warm_up_has_a_learning_rate(iterations: int) -> None:
    """No division by zero."""
    assert all(0 < loop.learning_rate_factor(i, iterations) <= 1 for i in range(iterations + 1))


@pytest.fixture(scope="module")
def batch() -> tuple[torch.Tensor, list[Target]]:
    """The first batch of a run."""
    return SyntheticBatches(8, SIZES, seed=0)[0]


def test_a_batch_has_pictures_and_their_truth(batch: tuple[torch.Tensor, list[Target]]) -> None:
    """Network-sized BGR bytes; boxes in fractions, classes from 1, soft masks at prototype size."""
    images, targets = batch

    assert (images.dtype, tuple(images.shape)) == (torch.uint8, (16, 48, 64, 3))
    assert len(targets) == 16
    things = sum(label.is_thing for label in LABELS)
    for target in targets:
        count = len(target.boxes)
        assert tuple(target.masks.shape) == (count, 12, 16)
        assert (len(target.classes), len(target.ignore)) == (count, count)
        assert ((target.classes >= 1) & (target.classes <= things)).all()
        assert ((target.masks >= 0) & (target.masks <= 1)).all()
    assert sum(len(target.boxes) for target in targets) > 16


def test_batches_are_a_function_of_their_number_and_the_seed(batch: tuple[torch.Tensor, list[Target]]) -> None:
    """Reproducible, and different from each other."""
    again = SyntheticBatches(8, SIZES, seed=0)
    other = SyntheticBatches(8, SIZES, seed=1)

    assert torch.equal(again[0][0], batch[0])
    assert not torch.equal(again[1][0], batch[0])
    assert not torch.equal(other[0][0], batch[0])
    assert len(again) == 8


def test_training_never_sees_a_held_out_scene() -> None:
    """The seeds of the longest sensible run stay below those for evaluation."""
    assert FIRST_SEED + 100_000 * SCENES_PER_ROUND // 4 < HELD_OUT_FIRST_SEED


class _Truth:
    """Three objects: one whole, one a sliver, one hidden."""

    def __init__(self) -> None:
        self.instance_ids = np.zeros((32, 64), np.int32)
        self.instance_ids[:16, :32] = 1
        self.ids = np.array([1, 2, 3])
        self.visible_fraction = np.array([1.0, SLIVER / 2, 0.0])
        self.boxes = np.array([[0, 0, 32, 16], [10, 10, 20, 20], [40, 0, 60, 30]], np.float32)
        self.classes = np.array([2, 0, 1])

    def visible(self, k: int) -> np.ndarray:
        return self.instance_ids == self.ids[k]


def test_targets_leave_hidden_objects_out_and_mark_slivers() -> None:
    """Boxes relative to the picture, masks averaged over cells."""
    target = target_of(_Truth(), (8, 8))  # type: ignore[arg-type]

    assert target.classes.tolist() == [3, 1]
    assert target.ignore.tolist() == [False, True]
    np.testing.assert_allclose(target.boxes[0], [0, 0, 0.5, 0.5])
    wanted = np.zeros((8, 8))
    wanted[:4, :4] = 1
    np.testing.assert_allclose(target.masks[0], wanted)


TINY_RCNN = replace(
    RECIPES["maskrcnn_demo"],
    name="tiny_rcnn",
    blocks=(1, 1, 1, 1),
    base_width=16,
    fpn_channels=16,
    box_channels=16,
    mask_channels=16,
    shorter=90,
    longer=160,
)


@pytest.mark.parametrize(("stage", "tiny"), [("image", TINY), ("rcnn", TINY_RCNN)])
def test_two_iterations_give_a_checkpoint_that_loads(stage: str, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finite weights under the names of the recipe, moved from where they began; nothing half written stays."""
    monkeypatch.setitem(RECIPES, "tiny", tiny)
    monkeypatch.setattr("export.training.data.SCENES_PER_ROUND", 2)
    out = tmp_path / "tiny.pth"
    arguments = argparse.Namespace(
        stage=stage, start=None, recipe="tiny", out=out, iterations=2, learning_rate=1e-2, seed=0, minutes=None, device="cpu", workers=1
    )

    training.train(arguments)

    net = load_checkpoint(out, tiny)
    torch.manual_seed(0)
    begin = tiny.build_net().state_dict()
    moved = [name for name, value in net.state_dict().items() if value.is_floating_point() and not torch.equal(value, begin[name])]
    assert all(value.isfinite().all() for value in net.state_dict().values())
    assert len(moved) > 0.9 * sum(value.is_floating_point() for value in begin.values())
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.pth"]


@pytest.mark.parametrize(("stage", "recipe"), [("image", "maskrcnn_demo"), ("rcnn", "yolact_demo"), ("rcnn", "fasterrcnn_resnet50_fpn")])
def test_a_net_of_another_kind_is_refused(stage: str, recipe: str, tmp_path: Path) -> None:
    """With the stages that there are."""
    wanted = argparse.Namespace(
        stage=stage,
        start=None,
        recipe=recipe,
        out=tmp_path / "x.pth",
        iterations=2,
        learning_rate=1e-2,
        seed=0,
        minutes=None,
        device="cpu",
        workers=1,
    )
    with pytest.raises(UsageError, match=f"{recipe} has no stage {stage}"):
        training.train(wanted)
