"""A panoptic net on single frames: proposals, heads and semantics learn together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.types import SizeHW

from ..nets.panoptic.anchors import level_anchors
from ..nets.panoptic.boxes import with_ends
from ..nets.panoptic.net import Normalise, UpsNet, VpsNet
from ..nets.rcnn.config import BOX_CELLS, MASK_CELLS, padded_hw
from ..nets.rcnn.net import Proposed
from .panoptic_data import Drawing, FrameBatches, Frames
from .panoptic_loss import (
    SampledRois,
    box_head_loss,
    mask_loss,
    panoptic_loss,
    rpn_loss,
    sample_rois,
    semantic_loss,
)
from .panoptic_pool import mask_targets, pool
from .panoptic_targets import propose
from .panoptic_truth import Truths, moved
from .rcnn_loss import ROIS_POSITIVE_MAX

FRAMES_PER_BATCH = 32
PANOPTIC_WEIGHT = 0.5


@dataclass(frozen=True)
class Machine:
    """Where a stage learns."""

    device: torch.device
    workers: int
    """Processes that draw frames."""


class PanopticStage:
    """All of a net that sees one frame at a time."""

    def __init__(self, net: UpsNet | VpsNet, input_hw: SizeHW, machine: Machine) -> None:
        self.net: nn.Module = net.to(machine.device, memory_format=torch.channels_last).train()
        self._panoptic = net
        self._input_hw = input_hw
        self._machine = machine
        self._normalise = Normalise(net.config).to(machine.device)
        self._anchors = [with_ends(torch.from_numpy(level)).to(machine.device) for level in level_anchors(net.config, input_hw)]

    def batches(self, iterations: int, seed: int) -> FrameBatches:
        """Frames of as many scenes."""
        return FrameBatches(iterations, Drawing(self._input_hw, FRAMES_PER_BATCH, self._machine.workers, seed))

    def examples(self, batch: Frames) -> Iterator[Frames]:
        """Each batch once."""
        yield moved(batch, self._machine.device)

    def losses(self, example: Frames) -> dict[str, Tensor]:
        """The terms of all heads."""
        with self._halved():
            levels = self._panoptic.features(self._prepared(example.images))
        return self._frame_losses(levels, example.truths)

    def _frame_losses(self, levels: Sequence[Tensor], truths: Truths) -> dict[str, Tensor]:
        with self._halved():
            proposed = [Proposed(logits.float(), offsets.float()) for logits, offsets in self._panoptic.propose(levels)]
        logits, offsets = (torch.cat(parts, dim=1) for parts in zip(*proposed, strict=True))
        losses = rpn_loss(logits, offsets, torch.cat(self._anchors), truths)
        sampled = sample_rois(propose(proposed, self._anchors, self._input_hw), truths)
        # Where half precision would put the taps of deformable convolutions is up to half a cell away.
        semantic = self._panoptic.semantic([level.float() for level in levels])
        losses |= self._box_losses(levels, sampled, truths)
        losses["semantic"] = semantic_loss(semantic, truths)
        return losses | self._mask_losses(levels, sampled, truths, semantic)

    def _box_losses(self, levels: Sequence[Tensor], sampled: SampledRois, truths: Truths) -> dict[str, Tensor]:
        features = pool(levels[:-1], sampled.rois.corners, self._panoptic.config, BOX_CELLS)
        with self._halved():
            logits, offsets = self._panoptic.boxes(features)
        return box_head_loss(logits.float(), offsets.float(), sampled, truths)

    def _mask_losses(self, levels: Sequence[Tensor], sampled: SampledRois, truths: Truths, semantic: Tensor) -> dict[str, Tensor]:
        """Of the positives and of the objects' own boxes; the latter fill the slots of the panoptic head."""
        count = truths.classes.shape[1]
        first = slice(None, ROIS_POSITIVE_MAX)
        rois = torch.cat([truths.boxes, sampled.rois.corners[:, first]], dim=1)
        classes = torch.cat([truths.classes, sampled.labels[:, first]], dim=1)
        own = torch.arange(count, device=rois.device).expand_as(truths.classes)
        slots = torch.cat([own, sampled.slots[:, first]], dim=1)
        logits = self._mask_logits(levels, rois, classes)
        wanted = mask_targets(truths.owners, slots, rois)
        valid = (classes > 0) & ~truths.ignore.gather(1, slots)
        return {
            "mask": mask_loss(logits, wanted, valid),
            "panoptic": PANOPTIC_WEIGHT * panoptic_loss(semantic, logits[:, :count], truths, self._panoptic.config.flavour.void),
        }

    def _mask_logits(self, levels: Sequence[Tensor], rois: Tensor, classes: Tensor) -> Tensor:
        """float32 (B, R, 28, 28) of one class each."""
        features = pool(levels[:-1], rois, self._panoptic.config, MASK_CELLS)
        with self._halved():
            logits = self._panoptic.masks(features)
        own = logits[torch.arange(len(logits), device=logits.device), classes.flatten()]
        return own.float().unflatten(0, rois.shape[:2])

    def _prepared(self, images: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) BGR -> float (B, 3, H', W'), padded right and bottom with 0."""
        height, width = padded_hw(self._input_hw)
        padding = (0, width - self._input_hw[1], 0, height - self._input_hw[0])
        return F.pad(self._normalise(images), padding).contiguous(memory_format=torch.channels_last)

    def _halved(self) -> torch.autocast:
        return torch.autocast(self._machine.device.type, dtype=torch.bfloat16, enabled=self._machine.device.type == "cuda")
