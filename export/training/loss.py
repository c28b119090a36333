"""The YOLACT loss: class, box, mask and semantic terms (Bolya et al., YOLACT, ICCV 2019, sections 3 and 4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..nets.yolact import YolactRaw

BOX_WEIGHT, MASK_WEIGHT, SEMANTIC_WEIGHT = 1.5, 6.125, 1.0
POSITIVE_IOU, NEGATIVE_IOU = 0.5, 0.4
NEGATIVES_PER_POSITIVE = 3
MASKS_PER_IMAGE_MAX = 64
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2


@dataclass(frozen=True)
class Target:
    """Ground truth of one picture."""

    boxes: Tensor
    """float32 (N, 4): x1, y1, x2, y2 in 0..1 of the picture."""
    classes: Tensor
    """int64 (N,): 1-based; 0 is background."""
    masks: Tensor
    """float32 (N, h, w) in 0..1 at prototype size."""
    ignore: Tensor
    """bool (N,): slivers that are neither wanted nor punished."""


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU (..., A, B) of corner boxes (..., A, 4) and (..., B, 4)."""
    low = torch.maximum(a[..., :, None, :2], b[..., None, :, :2])
    high = torch.minimum(a[..., :, None, 2:], b[..., None, :, 2:])
    overlap = (high - low).clamp(min=0).prod(dim=-1)
    area_a, area_b = ((boxes[..., 2:] - boxes[..., :2]).prod(dim=-1) for boxes in (a, b))
    return overlap / (area_a[..., :, None] + area_b[..., None, :] - overlap)


def match(target: Target, priors: Tensor) -> tuple[Tensor, Tensor]:
    """Assign priors (P, 4: centre, size) to objects.

    Returns:
        ``labels`` int64 (P,): class, 0 background, -1 neither; ``owner`` int64 (P,): index of the object.
    """
    if not len(target.boxes):
        nothing = torch.zeros(len(priors), dtype=torch.int64)
        return nothing, nothing
    corners = torch.cat([priors[:, :2] - priors[:, 2:] / 2, priors[:, :2] + priors[:, 2:] / 2], dim=1)
    iou = box_iou(target.boxes, corners)
    best, owner = iou.max(dim=0)
    favourite = iou.argmax(dim=1)
    # Every object keeps its best prior, whatever their overlap.
    best[favourite] = 2.0
    owner[favourite] = torch.arange(len(target.boxes))
    labels = torch.where(best >= POSITIVE_IOU, target.classes[owner], torch.where(best < NEGATIVE_IOU, 0, -1))
    return torch.where((labels > 0) & target.ignore[owner], -1, labels), owner


def encode(boxes: Tensor, priors: Tensor) -> Tensor:
    """Regression targets (N, 4) of corner boxes for their priors: the inverse of YOLACT's decode."""
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return torch.cat([(centre - priors[:, :2]) / (CENTRE_VARIANCE * priors[:, 2:]), torch.log(size / priors[:, 2:]) / SIZE_VARIANCE], dim=1)


def class_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Summed cross entropy over positives and the hardest negatives, three to one. logits (P, C), labels (P,)."""
    positive = labels > 0
    hardness = torch.logsumexp(logits.detach(), dim=1) - logits.detach()[:, 0]
    hardness = torch.where(labels == 0, hardness, torch.full_like(hardness, -1.0))
    wanted = min(max(NEGATIVES_PER_POSITIVE * int(positive.sum()), 16), int((labels == 0).sum()))
    negative = hardness.topk(wanted).indices
    chosen = torch.cat([positive.nonzero()[:, 0], negative])
    return F.cross_entropy(logits[chosen], labels[chosen].clamp(min=0), reduction="sum")


def mask_loss(proto: Tensor, coefficients: Tensor, owner: Tensor, target: Target) -> Tensor:
    """Binary cross entropy inside the true box, divided by its area. proto (h, w, k), coefficients (M, k), owner (M,)."""
    height, width = proto.shape[:2]
    logits = torch.einsum("hwk,mk->mhw", proto, coefficients)
    boxes = target.boxes[owner]
    x, y = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    left, top, right, bottom = (boxes * torch.tensor([width, height, width, height])).unbind(dim=1)
    inside_x = (x >= left[:, None] - 1) & (x <= right[:, None] + 1)
    inside_y = (y >= top[:, None] - 1) & (y <= bottom[:, None] + 1)
    inside = (inside_y[:, :, None] & inside_x[:, None, :]).float()
    entropy = F.binary_cross_entropy_with_logits(logits, target.masks[owner], reduction="none") * inside
    return (entropy.sum(dim=(1, 2)) / inside.sum(dim=(1, 2))).sum()


def semantic_loss(logits: Tensor, target: Target) -> Tensor:
    """Per-pixel, per-class binary cross entropy of the auxiliary head on P3. logits (C - 1, h, w)."""
    truth = torch.zeros_like(logits)
    small = target.masks if not len(target.masks) else F.adaptive_avg_pool2d(target.masks[None], logits.shape[1:])[0]
    for mask, label in zip(small, target.classes, strict=True):
        truth[label - 1] = torch.maximum(truth[label - 1], (mask > 0.5).float())
    return F.binary_cross_entropy_with_logits(logits, truth, reduction="sum") / logits[0].numel()


def yolact_loss(raw: YolactRaw, semantic: Tensor, targets: list[Target], priors: Tensor) -> dict[str, Tensor]:
    """The weighted terms of a batch: ``class``, ``box``, ``mask``, ``semantic``. All inputs float32.

    Args:
        raw: network outputs, (B, P, ...) and prototypes (B, h, w, k).
        semantic: (B, C - 1, h3, w3) logits of ``semantic_seg_conv`` on P3.
        targets: B pictures' truth.
        priors: float32 (P, 4): centre x, centre y, width, height in 0..1.
    """
    errors = [semantic_loss(logits, target) for logits, target in zip(semantic, targets, strict=True)]
    return {**detection_loss(raw, targets, priors), "semantic": SEMANTIC_WEIGHT * torch.stack(errors).mean()}


def detection_loss(raw: YolactRaw, targets: list[Target], priors: Tensor) -> dict[str, Tensor]:
    """The terms of `yolact_loss` that judge what inference computes: ``class``, ``box``, ``mask``."""
    zero = raw.loc.sum() * 0
    sums = {"class": zero, "box": zero, "mask": zero}
    positives = 0
    masked = 0
    for i, target in enumerate(targets):
        labels, owner = match(target, priors)
        positive = (labels > 0).nonzero()[:, 0]
        positives += len(positive)
        sums["class"] = sums["class"] + class_loss(raw.conf_logits[i], labels)
        if len(positive) == 0:
            continue
        truth = encode(target.boxes[owner[positive]], priors[positive])
        sums["box"] = sums["box"] + F.smooth_l1_loss(raw.loc[i, positive], truth, reduction="sum")
        chosen = positive[torch.randperm(len(positive))[:MASKS_PER_IMAGE_MAX]]
        masked += len(chosen)
        sums["mask"] = sums["mask"] + mask_loss(raw.proto[i], raw.coefficients[i, chosen], owner[chosen], target)
    return {
        "class": sums["class"] / max(positives, 1),
        "box": BOX_WEIGHT * sums["box"] / max(positives, 1),
        "mask": MASK_WEIGHT * sums["mask"] / max(masked, 1),
    }
