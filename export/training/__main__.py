"""Train the demo model: ``python -m export.training --out weights.pth``.

The result is a function of the seed and the number of iterations, up to the order of floating point sums.
"""

from __future__ import annotations

import argparse
import copy
import math
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from edgeseg.cli.progress import progress

from ..nets.priors import priors
from ..nets.yolact import Normalise, Yolact, YolactRaw
from ..recipes import recipe
from .data import SyntheticBatches
from .loss import Target, yolact_loss

WARM_UP_ITERATIONS = 200
EMA_DECAY = 0.998
GRADIENT_NORM_MAX = 10.0
SAVE_EVERY = 1000


def main() -> int:
    """Parse arguments, train, save the averaged weights."""
    parser = argparse.ArgumentParser(
        prog="python -m export.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="yolact_demo", help="configuration to train (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help=f"checkpoint to write, .pth; rewritten every {SAVE_EVERY} iterations")
    parser.add_argument("--iterations", type=int, default=4000, help="batches of 16 pictures (default: %(default)s)")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="peak of the cosine schedule (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and frame choice (default: %(default)s)")
    train(parser.parse_args())
    return 0


def train(args: argparse.Namespace) -> None:
    """Train in bfloat16 with AdamW on a cosine schedule; save a running average of the weights."""
    torch.manual_seed(args.seed)
    config = recipe(args.recipe)
    net = Yolact(config).to(memory_format=torch.channels_last)
    average = copy.deepcopy(net).eval()
    normalise = Normalise(config.normalisation)
    anchors = torch.from_numpy(priors(config))
    optimiser = torch.optim.AdamW(_parameter_groups(net), lr=args.learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda i: learning_rate_factor(i, args.iterations))
    batches = DataLoader(
        SyntheticBatches(args.iterations, config.size, config.proto_size, args.seed), batch_size=None, num_workers=1, prefetch_factor=4
    )
    net.train()
    with progress("training", total=args.iterations) as bar:
        for i, (images, targets) in enumerate(batches):
            losses = _losses(net, normalise(images), targets, anchors)
            optimiser.zero_grad(set_to_none=True)
            sum(losses.values()).backward()
            # bfloat16 kernels have been seen to give NaN gradients for maps of one cell: such a batch must not spoil the weights.
            if torch.isfinite(torch.nn.utils.clip_grad_norm_(net.parameters(), GRADIENT_NORM_MAX)):
                optimiser.step()
            schedule.step()
            _update_average(average, net, min(EMA_DECAY, (1 + i) / (10 + i)))
            bar.advance(1, detail="  ".join(f"{name} {value.item():.3f}" for name, value in losses.items()))
            if (i + 1) % SAVE_EVERY == 0 or i + 1 == args.iterations:
                _save(average, args.out)


def learning_rate_factor(iteration: int, iterations: int) -> float:
    """Linear warm-up, then half a cosine down to one hundredth."""
    if iteration < WARM_UP_ITERATIONS:
        return (iteration + 1) / WARM_UP_ITERATIONS
    done = (iteration - WARM_UP_ITERATIONS) / max(1, iterations - WARM_UP_ITERATIONS)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, done))) / 2


def _losses(net: Yolact, images: Tensor, targets: list[Target], anchors: Tensor) -> dict[str, Tensor]:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        levels = net.features(images.contiguous(memory_format=torch.channels_last))
        raw, semantic = net.predict(levels), net.semantic_logits(levels)
    return yolact_loss(YolactRaw(*(part.float() for part in raw)), semantic.float(), targets, anchors)


def _parameter_groups(net: Yolact) -> list[dict[str, object]]:
    matrices = [p for p in net.parameters() if p.ndim > 1]
    vectors = [p for p in net.parameters() if p.ndim <= 1]
    return [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]


@torch.no_grad()
def _update_average(average: Yolact, net: Yolact, decay: float) -> None:
    for mean, current in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(current, 1 - decay)
        else:
            mean.copy_(current)


def _save(net: Yolact, file: Path) -> None:
    partial = file.with_suffix(".partial")
    torch.save({name: value.contiguous() for name, value in net.state_dict().items()}, partial)
    partial.replace(file)


if __name__ == "__main__":
    raise SystemExit(main())
