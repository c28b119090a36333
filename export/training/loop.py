"""The loop that all stages of training share: AdamW on a cosine schedule and a running average of the weights."""

from __future__ import annotations

import copy
import math
import time
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
REPORT_EVERY = 10
"""Iterations; each report waits until a GPU has finished."""
UNBOUNDED = 1_000_000
"""Iterations of a run that a time ends."""


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
    minutes: float | None = None
    """Wall clock after which it ends; the schedule is stretched or shrunk to it as it goes."""
    workers: int = 1
    """Processes that draw batches."""

    def total(self, iteration: int, spent_s: float) -> int:
        """How many iterations the run will have had, judged when ``iteration`` begins after ``spent_s`` seconds."""
        if self.minutes is None or iteration == 0:
            return self.iterations
        return min(self.iterations, math.ceil(iteration * max(1.0, 60 * self.minutes / max(spent_s, 1e-6))))


class Average:
    """A running average of all of a net, statistics included."""

    def __init__(self, net: nn.Module) -> None:
        self.net = copy.deepcopy(net).eval()
        pairs = list(zip(self.net.state_dict().values(), net.state_dict().values(), strict=True))
        self._floats = [pair for pair in pairs if pair[0].dtype.is_floating_point]
        self._counts = [pair for pair in pairs if not pair[0].dtype.is_floating_point]

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Take the net's present weights in."""
        means, current = zip(*self._floats, strict=True)
        torch._foreach_lerp_(means, current, 1 - decay)
        for mine, theirs in self._counts:
            mine.copy_(theirs)

    def save(self, file: Path) -> None:
        """Write a state dict; what was there stays until it is complete."""
        partial = file.with_suffix(".partial")
        torch.save({name: value.cpu().contiguous() for name, value in self.net.state_dict().items()}, partial)
        partial.replace(file)


def run(stage: Stage, settings: Settings) -> int:
    """Train the parameters of the stage's net that require gradients; save a running average of the whole net.

    Returns:
        The iterations that it took.
    """
    begin_s, done, told = time.monotonic(), 0, ""
    average, optimiser = Average(stage.net), torch.optim.AdamW(_parameter_groups(stage.net), weight_decay=0.02)
    with progress("training", total=None if settings.minutes else settings.iterations) as bar:
        for example in _examples(stage, settings):
            total = settings.total(done, time.monotonic() - begin_s)
            if done >= total:
                break
            _set_learning_rate(optimiser, settings.learning_rate * learning_rate_factor(done, total))
            losses = _step(stage, example, optimiser)
            average.update(min(EMA_DECAY, (1 + done) / (10 + done)))
            done += 1
            told = _told(losses) if done % REPORT_EVERY == 1 else told
            bar.advance(1, told)
            if done % SAVE_EVERY == 0:
                average.save(settings.out)
    average.save(settings.out)
    return done


def _step(stage: Stage, example: Any, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """One step of descent; the terms before it."""
    losses = stage.losses(example)
    optimiser.zero_grad(set_to_none=True)
    sum(losses.values()).backward()  # type: ignore[union-attr]
    # bfloat16 kernels have been seen to give NaN gradients for maps of one cell: such a batch must not spoil the weights.
    if torch.isfinite(torch.nn.utils.clip_grad_norm_(_trained(stage.net), GRADIENT_NORM_MAX)):
        optimiser.step()
    return losses


def _set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate


def _told(losses: dict[str, Tensor]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in zip(losses, torch.stack(list(losses.values())).tolist(), strict=True))


def _examples(stage: Stage, settings: Settings) -> Iterator[Any]:
    """As many as there are iterations; worker processes draw the batches meanwhile."""
    loader = DataLoader(
        stage.batches(settings.iterations, settings.seed),
        batch_size=None,
        num_workers=settings.workers,
        prefetch_factor=4,
        pin_memory=next(stage.net.parameters()).is_cuda,
    )
    return islice((example for batch in loader for example in stage.examples(batch)), settings.iterations)


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
