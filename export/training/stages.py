"""What is trained on what: the image model, the flow net, and the whole branch that warps key frames.

The last two are the stages of Liu et al., YolactEdge (ICRA 2021): first the flow against true flow, then the branch against the
detections of the current frame. Trunk, pyramid and heads stay as the image model has them, and with them its key frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..nets.flow import YolactVideo
from ..nets.priors import priors
from ..nets.yolact import Normalise, Yolact, YolactRaw
from ..recipes.yolact import YolactRecipe
from .data import PictureSizes, SyntheticBatches
from .flow_loss import end_point_error, feature_error
from .loss import Target, detection_loss, yolact_loss
from .pairs import FlowTarget, FramePairs, PairBatch
from .replay import Replay

FEATURE_WEIGHT = 4.0
"""Of the feature error, against detection terms that add up to about 2 on a trained model."""
KEPT_BATCHES = 64
FLOW_REPEATS, VIDEO_REPEATS = 7, 2


class ImageStage:
    """All of an image model, on single frames."""

    def __init__(self, net: Yolact, config: YolactRecipe) -> None:
        self.net = net.to(memory_format=torch.channels_last).train()
        self._config = config
        self._normalise = Normalise(config.normalisation)
        self._anchors = torch.from_numpy(priors(config))

    def batches(self, iterations: int, seed: int) -> Dataset[tuple[Tensor, list[Target]]]:
        """Sixteen frames of as many scenes a batch."""
        size, proto_size = self._config.size, self._config.proto_size
        return SyntheticBatches(iterations, PictureSizes((size, size), (proto_size, proto_size)), seed)

    def examples(self, batch: tuple[Tensor, list[Target]]) -> Iterator[tuple[Tensor, list[Target]]]:
        """Each batch once."""
        yield batch

    def losses(self, example: tuple[Tensor, list[Target]]) -> dict[str, Tensor]:
        """The terms of the YOLACT loss."""
        images, targets = example
        with torch.autocast("cpu", dtype=torch.bfloat16):
            levels = self.net.features(_prepared(images, self._normalise))
            raw, semantic = self.net.predict(levels), self.net.semantic_logits(levels)
        return yolact_loss(_float(raw), semantic.float(), targets, self._anchors)


@dataclass(frozen=True)
class _FlowExample:
    """Laterals of B pairs, and the flow between their frames."""

    lateral: Tensor
    key_lateral: Tensor
    flows: tuple[FlowTarget, ...]


class FlowStage:
    """The flow net and what feeds it, against the exact flow."""

    def __init__(self, net: YolactVideo, config: YolactRecipe, seed: int) -> None:
        self.net = net.to(memory_format=torch.channels_last)
        _freeze_all_but(net, net.flow_net, net.flow_net_pre_convs)
        self._config = config
        self._normalise = Normalise(config.normalisation)
        self._replay: Replay[_FlowExample] = Replay(KEPT_BATCHES, FLOW_REPEATS, seed)

    def batches(self, iterations: int, seed: int) -> Dataset[PairBatch]:
        """Sixteen pairs of frames of as many scenes a batch."""
        return _pairs(self._config, math.ceil(iterations / (1 + FLOW_REPEATS)), seed)

    @torch.no_grad()
    def examples(self, batch: PairBatch) -> Iterator[_FlowExample]:
        """What the frozen trunk makes of the batch, and then of earlier ones again."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            lateral, key_lateral = (self.net.lateral(_prepared(images, self._normalise)) for images in (batch.current, batch.key))
        return self._replay.after(_FlowExample(lateral, key_lateral, batch.flows))

    def losses(self, example: _FlowExample) -> dict[str, Tensor]:
        """End-point errors in cells of P4 and of P5."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            predictions = self.net.predict_flow(example.lateral, example.key_lateral)
        errors = [end_point_error(found.flow.float(), wanted) for found, wanted in zip(predictions, example.flows, strict=True)]
        return dict(zip(("P4", "P5"), errors, strict=True))


@dataclass(frozen=True)
class _VideoExample:
    """What B pairs give the light graph, and what it should make of it."""

    lateral: Tensor
    key_lateral: Tensor
    key_sums: tuple[Tensor, ...]
    """Of P4 and P5."""
    sums: tuple[Tensor, ...]
    """The current frame's own, P3 to P5."""
    targets: list[Target]


class VideoStage:
    """Everything a warped frame adds to an image model, against what is to be found in the current frame and its true features."""

    def __init__(self, net: YolactVideo, config: YolactRecipe, seed: int) -> None:
        self.net = net.to(memory_format=torch.channels_last)
        _freeze_all_but(net, *(part for part in (net.flow_net, net.flow_net_pre_convs, net.spa) if part is not None))
        self._config = config
        self._normalise = Normalise(config.normalisation)
        self._anchors = torch.from_numpy(priors(config))
        self._replay: Replay[_VideoExample] = Replay(KEPT_BATCHES, VIDEO_REPEATS, seed)

    def batches(self, iterations: int, seed: int) -> Dataset[PairBatch]:
        """Sixteen pairs of frames of as many scenes a batch."""
        return _pairs(self._config, math.ceil(iterations / (1 + VIDEO_REPEATS)), seed)

    @torch.no_grad()
    def examples(self, batch: PairBatch) -> Iterator[_VideoExample]:
        """What the frozen trunk makes of the batch, and then of earlier ones again."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            sums, lateral = self.net.key_frame(_prepared(batch.current, self._normalise))
            key_sums, key_lateral = self.net.key_frame(_prepared(batch.key, self._normalise))
        return self._replay.after(_VideoExample(lateral, key_lateral, key_sums[1:], sums, batch.targets))

    def losses(self, example: _VideoExample) -> dict[str, Tensor]:
        """The detection terms of the warped frame, and ``feature``: how far its pyramid sums are from those of a key frame."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            predictions = self.net.predict_flow(example.lateral, example.key_lateral)
            sums = self.net.warped_sums(predictions, example.key_sums, example.lateral)
            raw = self.net.predict(self.net.fpn.levels(sums))
        feature = feature_error([x.float() for x in sums], [x.float() for x in example.sums])
        return {**detection_loss(_float(raw), example.targets, self._anchors), "feature": FEATURE_WEIGHT * feature}


def _pairs(config: YolactRecipe, batches: int, seed: int) -> FramePairs:
    return FramePairs(batches, config.size, config.proto_size, config.level_sizes[1:3], seed)


def _freeze_all_but(net: nn.Module, *parts: nn.Module) -> None:
    """Let gradients reach the weights of these parts only; the rest computes as it will when it runs."""
    net.eval().requires_grad_(False)
    for part in parts:
        part.train().requires_grad_(True)


def _prepared(images: Tensor, normalise: Normalise) -> Tensor:
    prepared: Tensor = normalise(images)
    return prepared.contiguous(memory_format=torch.channels_last)


def _float(raw: YolactRaw) -> YolactRaw:
    return YolactRaw(*(part.float() for part in raw))
