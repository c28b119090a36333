"""A two-stage net on single frames: proposals and heads learn together (He et al., Mask R-CNN, ICCV 2017)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from edgeseg.types import SizeHW

from ..nets.rcnn.anchors import level_anchors
from ..nets.rcnn.config import BOX_CELLS, MASK_CELLS, padded_hw
from ..nets.rcnn.net import Normalise, Proposed, Rcnn
from .data import PictureSizes, SyntheticBatches
from .loss import Target
from .proposals import best_of_levels
from .rcnn_loss import SampledRois, box_head_loss, mask_loss, rpn_loss, sample_rois
from .rcnn_pool import crop_masks, pool
from .rcnn_targets import Truth

SCENES_HW: tuple[SizeHW, ...] = ((360, 640), (288, 512))
"""Of the one shape of frames that the bundle is made for."""
PARTS_PER_BATCH = 2


class RcnnStage:
    """All of a Mask R-CNN."""

    def __init__(self, net: Rcnn, input_hw: SizeHW) -> None:
        self.net = net.to(memory_format=torch.channels_last).train()
        self._input_hw = input_hw
        self._normalise = Normalise(net.config)
        self._anchors = [torch.from_numpy(anchors) for anchors in level_anchors(net.config, input_hw)]

    def batches(self, iterations: int, seed: int) -> Dataset[tuple[Tensor, list[Target]]]:
        """Sixteen frames of as many scenes a batch."""
        return SyntheticBatches(-(-iterations // PARTS_PER_BATCH), PictureSizes(self._input_hw, self._input_hw, SCENES_HW), seed)

    def examples(self, batch: tuple[Tensor, list[Target]]) -> Iterator[tuple[Tensor, list[Target]]]:
        """Each batch once, in parts."""
        images, targets = batch
        each = -(-len(targets) // PARTS_PER_BATCH)
        for first in range(0, len(targets), each):
            yield images[first : first + each], targets[first : first + each]

    def losses(self, example: tuple[Tensor, list[Target]]) -> dict[str, Tensor]:
        """The terms of both stages."""
        images, targets = example
        truths = [truth_of(target, self._input_hw) for target in targets]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            levels = self.net.features(self._prepared(images))
            proposed = [Proposed(logits.float(), offsets.float()) for logits, offsets in self.net.propose(levels)]
        logits, offsets = (torch.cat(parts, dim=1) for parts in zip(*proposed, strict=True))
        losses = rpn_loss(logits, offsets, torch.cat(self._anchors), truths)
        proposals = propose(proposed, self._anchors, self._input_hw)
        sampled = [sample_rois(rois, truth) for rois, truth in zip(proposals, truths, strict=True)]
        return {**losses, **self._box_losses(levels[:-1], sampled), "mask": self._mask_loss(levels[:-1], sampled, targets)}

    def _box_losses(self, levels: Sequence[Tensor], sampled: Sequence[SampledRois]) -> dict[str, Tensor]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            features = pool(levels, [part.rois for part in sampled], self.net.config, BOX_CELLS)
            logits, offsets = self.net.roi_heads.boxes(features)
        return box_head_loss(logits.float(), offsets.float(), sampled)

    def _mask_loss(self, levels: Sequence[Tensor], sampled: Sequence[SampledRois], targets: Sequence[Target]) -> Tensor:
        rois = [part.rois[: len(part.owner)] for part in sampled]
        labels = torch.cat([part.labels[: len(part.owner)] for part in sampled])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            features = pool(levels, rois, self.net.config, MASK_CELLS)
            logits = self.net.roi_heads.masks(features, labels)
        masks = torch.cat([target.masks[part.owner] for target, part in zip(targets, sampled, strict=True)])
        return mask_loss(logits.float(), crop_masks(masks, torch.cat(rois)))

    def _prepared(self, images: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) BGR -> float (B, 3, H', W'), padded right and bottom with the mean colour."""
        height, width = padded_hw(self._input_hw)
        padding = (0, width - self._input_hw[1], 0, height - self._input_hw[0])
        return F.pad(self._normalise(images), padding).contiguous(memory_format=torch.channels_last)


def truth_of(target: Target, input_hw: SizeHW) -> Truth:
    """The same objects in pixels of the network's input."""
    height, width = input_hw
    return Truth(target.boxes * torch.tensor([width, height, width, height]), target.classes, target.ignore)


def propose(proposed: Sequence[Proposed], anchors: Sequence[Tensor], input_hw: SizeHW) -> list[Tensor]:
    """The proposals of each of B pictures: float32 (R, 4) corners, the best of each level without those that overlap a better one."""
    found: list[list[Tensor]] = [[] for _ in proposed[0].logits]
    for boxes, kept in best_of_levels(proposed, anchors, input_hw):
        for i, parts in enumerate(found):
            parts.append(boxes[i, kept[i]])
    return [torch.cat(parts) for parts in found]
