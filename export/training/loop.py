"""The loop that all stages of training share: AdamW on a cosine schedule and a running average of the weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from edgeseg.cli.progress import progress

WARM_UP_ITERATIONS = 200
EMA_DECAY = 0.998
GRADIENT_NORM_MAX = 10.0
SAVE_EVERY = 500


class Stage(Protocol):
    """What is trained on what. Parts of the net that the stage leaves alone neither require gradients nor are in training mode."""

    net: nn.Module

    def batches(self, iterations: int, seed: int) -> Dataset[Any]:
        """The training set: as many batches as ``examples`` makes that number of iterations of."""
        ...

    def examples(self, batch: Any) -> Iterator[Any]:
        """What one batch of the training set gives to learn from, an iteration each."""
        ...

    def losses(self, example: Any) -> dict[str, Tensor]:
        """The weighted terms, by name."""
        ...


@dataclass(frozen=True)
class Settings:
    """How long and how fast a stage learns."""

    out: Path
    """Checkpoint, rewritten every SAVE_EVERY iterations."""
    iterations: int
    learning_rate: float
    """Peak of the cosine schedule."""
    seed: int
    """Seed of weights and frame choice."""


def run(stage: Stage, settings: Settings) -> None:
    """Train the parameters of the stage's net that require gradients; save a running average of the whole net."""
    net, average = stage.net, copy.deepcopy(stage.net).eval()
    optimiser = torch.optim.AdamW(_parameter_groups(net), lr=settings.learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda i: learning_rate_factor(i, settings.iterations))
    with progress("training", total=settings.iterations) as bar:
        for i, example in enumerate(_examples(stage, settings)):
            losses = stage.losses(example)
            optimiser.zero_grad(set_to_none=True)
            sum(losses.values()).backward()
            # bfloat16 kernels have been seen to give NaN gradients for maps of one cell: such a batch must not spoil the weights.
            if torch.isfinite(torch.nn.utils.clip_grad_norm_(_trained(net), GRADIENT_NORM_MAX)):
                optimiser.step()
            schedule.step()
            _update_average(average, net, min(EMA_DECAY, (1 + i) / (10 + i)))
            bar.advance(1, detail="  ".join(f"{name} {value.item():.3f}" for name, value in losses.items()))
            if (i + 1) % SAVE_EVERY == 0 or i + 1 == settings.iterations:
                _save(average, settings.out)


def _examples(stage: Stage, settings: Settings) -> Iterator[Any]:
    """As many as there are iterations; a worker process draws the batches meanwhile."""
    batches = DataLoader(stage.batches(settings.iterations, settings.seed), batch_size=None, num_workers=1, prefetch_factor=4)
    return islice((example for batch in batches for example in stage.examples(batch)), settings.iterations)


def learning_rate_factor(iteration: int, iterations: int) -> float:
    """Linear warm-up, then half a cosine down to one hundredth."""
    if iteration < WARM_UP_ITERATIONS:
        return (iteration + 1) / WARM_UP_ITERATIONS
    done = (iteration - WARM_UP_ITERATIONS) / max(1, iterations - WARM_UP_ITERATIONS)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, done))) / 2


def _trained(net: nn.Module) -> list[nn.Parameter]:
    return [p for p in net.parameters() if p.requires_grad]


def _parameter_groups(net: nn.Module) -> list[dict[str, object]]:
    matrices = [p for p in _trained(net) if p.ndim > 1]
    vectors = [p for p in _trained(net) if p.ndim <= 1]
    return [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]


@torch.no_grad()
def _update_average(average: nn.Module, net: nn.Module, decay: float) -> None:
    for mean, current in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(current, 1 - decay)
        else:
            mean.copy_(current)


def _save(net: nn.Module, file: Path) -> None:
    partial = file.with_suffix(".partial")
    torch.save({name: value.contiguous() for name, value in net.state_dict().items()}, partial)
    partial.replace(file)
