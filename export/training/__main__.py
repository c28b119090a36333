"""Train the demo model, one stage after another.

python -m export.training --out image.pth
python -m export.training --stage flow --from image.pth --out flow.pth
python -m export.training --stage video --from flow.pth --out demo.pth

A small Mask R-CNN has one stage.

python -m export.training --stage rcnn --out mask.pth

The result is a function of the seed, the number of iterations and the weights it starts from, up to the order of floating point sums.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, cast

import torch

from edgeseg.errors import UsageError

from ..checkpoints import load_checkpoint
from ..nets.flow import YolactVideo
from ..nets.rcnn.net import Rcnn
from ..nets.yolact import Yolact
from ..recipes import recipe
from ..recipes.base import Recipe
from ..recipes.maskrcnn import RcnnRecipe
from ..recipes.yolact import YolactRecipe
from .branch import begin_branch
from .loop import SAVE_EVERY, Settings, Stage, run
from .rcnn_stage import RcnnStage
from .stages import FlowStage, ImageStage, VideoStage

IMAGE, FLOW, VIDEO, RCNN = "image", "flow", "video", "rcnn"
FROM_NOTHING = (IMAGE, RCNN)


class _Plan(NamedTuple):
    """What holds for a stage where the command line says nothing else."""

    recipe: str
    iterations: int
    learning_rate: float


PLANS = {
    IMAGE: _Plan("yolact_demo", 4000, 2e-3),
    FLOW: _Plan("yolact_demo_video", 5000, 2e-3),
    VIDEO: _Plan("yolact_demo_video", 2200, 1e-3),
    RCNN: _Plan("maskrcnn_demo", 2400, 1.5e-3),
}


def main() -> int:
    """Parse arguments, train, save the averaged weights."""
    parser = argparse.ArgumentParser(
        prog="python -m export.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stage", choices=PLANS, default=IMAGE, help="image model, its flow net or video branch; or rcnn (default: image)")
    parser.add_argument("--from", dest="start", type=Path, help="weights that the stage before wrote, .pth; image and rcnn need none")
    parser.add_argument("--recipe", help="configuration to train (default: the demo's)")
    parser.add_argument("--out", type=Path, required=True, help=f"checkpoint to write, .pth; rewritten every {SAVE_EVERY} iterations")
    parser.add_argument("--iterations", type=int, help="batches to learn from, of 16 pictures or pairs; 8 for rcnn (default: the demo's)")
    parser.add_argument("--learning-rate", type=float, help="peak of the cosine schedule (default: the demo's)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and frame choice (default: %(default)s)")
    train(parser.parse_args())
    return 0


def train(args: argparse.Namespace) -> None:
    """Run one stage.

    Raises:
        UsageError: the recipe is no net of that stage, or ``--from`` is missing or not wanted.
        CheckpointError: the file of ``--from`` does not hold what the stage before writes.
    """
    plan = PLANS[args.stage]
    torch.manual_seed(args.seed)
    config = recipe(args.recipe or plan.recipe)
    if args.stage not in _stages_of(config):
        raise UsageError(
            f"{config.name} has no stage {args.stage}: image YOLACTs have image, video YOLACTs flow and video, Mask R-CNN rcnn"
        )
    if (args.start is None) != (args.stage in FROM_NOTHING):
        raise UsageError("give the weights of the stage before with --from to the stages flow and video, and to them only")
    settings = Settings(args.out, args.iterations or plan.iterations, args.learning_rate or plan.learning_rate, args.seed)
    run(_begin(args.stage, config, args.start, args.seed), settings)


def _stages_of(config: Recipe) -> tuple[str, ...]:
    if isinstance(config, RcnnRecipe):
        return (RCNN,) if config.masks else ()
    if isinstance(config, YolactRecipe):
        return (IMAGE,) if config.flow is None else (FLOW, VIDEO)
    return ()


def _begin(stage: str, config: Recipe, start: Path, seed: int) -> Stage:
    if isinstance(config, RcnnRecipe):
        return RcnnStage(Rcnn(config), config.input_hw)
    config = cast("YolactRecipe", config)
    if stage == IMAGE:
        return ImageStage(Yolact(config), config)
    if stage == FLOW:
        return FlowStage(_with_new_branch(start, config), config, seed)
    return VideoStage(cast("YolactVideo", load_checkpoint(start, config)), config, seed)


def _with_new_branch(start: Path, config: YolactRecipe) -> YolactVideo:
    """A video model out of an image model's file."""
    image = load_checkpoint(start, replace(config, flow=None))
    net = YolactVideo(config)
    begin_branch(net)
    net.load_state_dict({**net.state_dict(), **image.state_dict()})
    return net


if __name__ == "__main__":
    raise SystemExit(main())
