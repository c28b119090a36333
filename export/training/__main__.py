"""Train the demo model, one stage after another.

python -m export.training --out image.pth
python -m export.training --stage flow --from image.pth --out flow.pth
python -m export.training --stage video --from flow.pth --out demo.pth

A small Mask R-CNN has one stage.

python -m export.training --stage rcnn --out mask.pth

So have the panoptic nets, which begin anew or go on from their own weights, and use a GPU.

python -m export.training --stage panoptic --out upsnet.pth
python -m export.training --stage panoptic-video --device cuda --workers 8 --minutes 8 --out vpsnet.pth

The result is a function of the seed, the number of iterations and the weights it starts from, up to the order of floating point sums;
with more than one worker or a time limit, of these too.
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
from ..nets.panoptic.flownets import FlowNetS
from ..nets.panoptic.net import UpsNet, VpsNet
from ..nets.rcnn.net import Rcnn
from ..nets.yolact import Yolact
from ..recipes import recipe
from ..recipes.base import Recipe
from ..recipes.maskrcnn import RcnnRecipe
from ..recipes.panoptic import PanopticRecipe
from ..recipes.yolact import YolactRecipe
from .branch import begin_branch, begin_flow
from .loop import SAVE_EVERY, UNBOUNDED, Settings, Stage, run
from .panoptic_stage import Machine, PanopticStage
from .panoptic_video import PanopticVideoStage
from .rcnn_stage import RcnnStage
from .stages import FlowStage, ImageStage, VideoStage

IMAGE, FLOW, VIDEO, RCNN = "image", "flow", "video", "rcnn"
PANOPTIC, PANOPTIC_VIDEO = "panoptic", "panoptic-video"
FROM_NOTHING = (IMAGE, RCNN)
FROM_ANYTHING = (PANOPTIC, PANOPTIC_VIDEO)


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
    PANOPTIC: _Plan("upsnet_demo", 4000, 2e-3),
    PANOPTIC_VIDEO: _Plan("vpsnet_demo", 4000, 2e-3),
}


def main() -> int:
    """Parse arguments, train, save the averaged weights."""
    parser = argparse.ArgumentParser(
        prog="python -m export.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--stage", choices=PLANS, default=IMAGE, help="image model, its flow net or video branch; rcnn; panoptic, panoptic-video"
    )
    parser.add_argument("--from", dest="start", type=Path, help="weights that the stage before wrote, .pth; panoptic: to go on from")
    parser.add_argument("--recipe", help="configuration to train (default: the demo's)")
    parser.add_argument("--out", type=Path, required=True, help=f"checkpoint to write, .pth; rewritten every {SAVE_EVERY} iterations")
    parser.add_argument("--iterations", type=int, help="batches to learn from (default: the demo's)")
    parser.add_argument("--minutes", type=float, help="end by the clock instead, with a schedule that fits")
    parser.add_argument("--learning-rate", type=float, help="peak of the cosine schedule (default: the demo's)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and frame choice (default: %(default)s)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where panoptic nets learn (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw pictures (default: %(default)s)")
    args = parser.parse_args()
    print(f"{train(args)} iterations, weights in {args.out}")
    return 0


def train(args: argparse.Namespace) -> int:
    """Run one stage; returns its iterations.

    Raises:
        UsageError: the recipe is no net of that stage, ``--from`` is missing or not wanted, or a number or device cannot be used.
        CheckpointError: the file of ``--from`` does not hold what the stage before writes.
    """
    plan = PLANS[args.stage]
    torch.manual_seed(args.seed)
    config = recipe(args.recipe or plan.recipe)
    if args.stage not in _stages_of(config):
        raise UsageError(
            f"{config.name} has no stage {args.stage}: image YOLACTs have image, video YOLACTs flow and video, Mask R-CNN rcnn, "
            "UPSNets panoptic, VPSNets with fuse module and track head panoptic-video"
        )
    if args.stage not in FROM_ANYTHING and (args.start is None) != (args.stage in FROM_NOTHING):
        raise UsageError("give the weights of the stage before with --from to the stages flow and video, and to them only")
    _require_usable(args)
    iterations = args.iterations or (UNBOUNDED if args.minutes else plan.iterations)
    rate = args.learning_rate or plan.learning_rate
    return run(_begin(args, config), Settings(args.out, iterations, rate, args.seed, args.minutes, args.workers))


def _require_usable(args: argparse.Namespace) -> None:
    if args.workers < 1 or (args.minutes is not None and args.minutes <= 0):
        raise UsageError("--workers is 1 or more, --minutes more than 0")
    if args.device == "cuda" and args.stage not in FROM_ANYTHING:
        raise UsageError(f"the stage {args.stage} learns on the CPU alone; leave --device out")
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("PyTorch finds no GPU here; leave --device out to learn on the CPU")


def _stages_of(config: Recipe) -> tuple[str, ...]:
    if isinstance(config, RcnnRecipe):
        return (RCNN,) if config.masks else ()
    if isinstance(config, YolactRecipe):
        return (IMAGE,) if config.flow is None else (FLOW, VIDEO)
    if isinstance(config, PanopticRecipe):
        return _panoptic_stages(config)
    return ()


def _panoptic_stages(config: PanopticRecipe) -> tuple[str, ...]:
    if config.fuse is None and config.embedding is None:
        return (PANOPTIC,)
    return (PANOPTIC_VIDEO,) if config.fuse is not None and config.embedding is not None else ()


def _begin(args: argparse.Namespace, config: Recipe) -> Stage:
    if isinstance(config, RcnnRecipe):
        return RcnnStage(Rcnn(config), config.input_hw)
    if isinstance(config, PanopticRecipe):
        return _begin_panoptic(args, config)
    config = cast("YolactRecipe", config)
    if args.stage == IMAGE:
        return ImageStage(Yolact(config), config)
    if args.stage == FLOW:
        return FlowStage(_with_new_branch(args.start, config), config, args.seed)
    return VideoStage(cast("YolactVideo", load_checkpoint(args.start, config)), config, args.seed)


def _begin_panoptic(args: argparse.Namespace, config: PanopticRecipe) -> Stage:
    machine = Machine(torch.device(args.device), args.workers)
    net = config.build_net() if args.start is None else load_checkpoint(args.start, config).requires_grad_(True)
    if args.stage == PANOPTIC:
        return PanopticStage(cast("UpsNet | VpsNet", net), config.input_hw, machine)
    video = cast("VpsNet", net)
    if args.start is None and isinstance(video.flownet2, FlowNetS):
        begin_flow(video.flownet2)
    return PanopticVideoStage(video, config.input_hw, machine)


def _with_new_branch(start: Path, config: YolactRecipe) -> YolactVideo:
    """A video model out of an image model's file."""
    image = load_checkpoint(start, replace(config, flow=None))
    net = YolactVideo(config)
    begin_branch(net)
    net.load_state_dict({**net.state_dict(), **image.state_dict()})
    return net


if __name__ == "__main__":
    raise SystemExit(main())
