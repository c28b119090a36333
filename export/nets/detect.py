"""What follows the YOLACT net inside the exported graph: box decoding and Fast NMS with static shapes, standard ops only.

The numpy references are `edgeseg.ops.boxes` and `edgeseg.ops.nms`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgeseg.ops.nms import NmsSettings

from .config import YolactConfig
from .priors import priors
from .yolact import MaskIoUNet, Normalise, Yolact, YolactRaw

NO_DETECTION = -1.0
"""Score of rows that hold no detection."""
CROP_PADDING_CELLS = 1.0


class Detections(NamedTuple):
    """Fixed-size detections of one picture, N = ``max_detections`` (``top_k`` across classes), or fewer when there are fewer priors."""

    boxes: Tensor
    """(N, 4) corners in 0..1, not clipped."""
    scores: Tensor
    """(N,) descending, -1 where there is no detection."""
    classes: Tensor
    """(N,) int64, 0-based foreground class."""
    priors: Tensor
    """(N,) int64, index of the prior."""


def decode_boxes(loc: Tensor, anchors: Tensor) -> Tensor:
    """Corner boxes (P, 4) from offsets (P, 4) and priors (P, 4: centre, size), variances 0.1 and 0.2."""
    centre = anchors[:, :2] + loc[:, :2] * 0.1 * anchors[:, 2:]
    size = anchors[:, 2:] * torch.exp(loc[:, 2:] * 0.2)
    low = centre - size / 2
    return torch.cat([low, size + low], dim=1)


def suppressed(boxes: Tensor, iou_threshold: float) -> Tensor:
    """bool (G, K): overlaps a higher-ranked box of its group by more than the threshold. boxes (G, K, 4), best first.

    A suppressed box still suppresses others: that is what makes the NMS "fast".
    """
    x1, y1, x2, y2 = (side[..., 0] for side in boxes.split(1, dim=2))
    width = torch.minimum(x2[:, :, None], x2[:, None]) - torch.maximum(x1[:, :, None], x1[:, None])
    height = torch.minimum(y2[:, :, None], y2[:, None]) - torch.maximum(y1[:, :, None], y1[:, None])
    overlap = width.clamp(min=0) * height.clamp(min=0)
    area = (x2 - x1) * (y2 - y1)
    iou = overlap / (area[:, :, None] + area[:, None] - overlap)
    higher_ranked = torch.ones(boxes.shape[1], boxes.shape[1]).triu(diagonal=1)
    return (iou * higher_ranked).amax(dim=1) > iou_threshold


def fast_nms(boxes: Tensor, conf: Tensor, settings: NmsSettings) -> Detections:
    """Fast NMS per class. boxes (P, 4), conf (P, C) probabilities with the background first.

    A prior whose best class passes the score threshold is a candidate for all classes, as in the original.
    """
    foreground = conf[:, 1:]
    candidate = foreground.amax(dim=1, keepdim=True) > settings.score_threshold
    ranked = torch.where(candidate, foreground, NO_DETECTION).t()
    per_class = min(settings.top_k, ranked.shape[1])
    scores, index = ranked.topk(per_class, dim=1)
    scores = torch.where(suppressed(boxes[index], settings.iou_threshold), NO_DETECTION, scores)
    flat_scores, flat = scores.reshape(-1).topk(min(settings.max_detections, scores.numel()))
    chosen = index.reshape(-1)[flat]
    return Detections(boxes[chosen], flat_scores, torch.div(flat, per_class, rounding_mode="floor"), chosen)


def cross_class_fast_nms(boxes: Tensor, conf: Tensor, settings: NmsSettings) -> Detections:
    """Fast NMS over the best class of every prior, suppressing across classes; no cap but ``top_k``."""
    best, label = conf[:, 1:].max(dim=1)
    scores, index = torch.where(best > settings.score_threshold, best, NO_DETECTION).topk(min(settings.top_k, len(best)))
    scores = torch.where(suppressed(boxes[index][None], settings.iou_threshold)[0], NO_DETECTION, scores)
    # Suppressed rows leave holes: sort again so that scores descend.
    scores, order = scores.topk(len(scores))
    chosen = index[order]
    return Detections(boxes[chosen], scores, label[chosen], chosen)


def cropped_masks(proto: Tensor, coefficients: Tensor, boxes: Tensor) -> Tensor:
    """Soft masks (N, h, w), zero outside the box plus one cell. proto (h, w, k), coefficients (N, k), boxes (N, 4)."""
    height, width = proto.shape[0], proto.shape[1]
    soft = torch.sigmoid(coefficients @ proto.reshape(height * width, -1).t()).reshape(-1, height, width)
    return soft * _inside(boxes[:, 0::2], width)[:, None, :] * _inside(boxes[:, 1::2], height)[:, :, None]


def _inside(ends: Tensor, cells: int) -> Tensor:
    """1.0 in the cells of one axis that the crop keeps, else 0.0: (N, cells) from ends (N, 2) in 0..1."""
    ends = ends * cells
    low = (ends.amin(dim=1, keepdim=True) - CROP_PADDING_CELLS).clamp(min=0)
    high = (ends.amax(dim=1, keepdim=True) + CROP_PADDING_CELLS).clamp(max=cells)
    position = torch.arange(cells, dtype=ends.dtype)[None]
    return ((position >= low) & (position < high)).to(ends.dtype)


class YolactGraph(nn.Module):
    """The whole graph: (1, S, S, 3) BGR in, detections with coefficients and the prototypes out."""

    anchors: Tensor

    def __init__(self, net: Yolact, config: YolactConfig, settings: NmsSettings) -> None:
        super().__init__()
        self.net = net
        self.settings = settings
        self.normalise = Normalise(config.normalisation)
        self.register_buffer("anchors", torch.from_numpy(priors(config)), persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """boxes (N, 4), scores (N,), classes (N,) int64, coefficients (N, k), prototypes (h, w, k)[, mask_iou (N,)]."""
        return self.detections(self.net(self.normalise(image)))

    def detections(self, raw: YolactRaw) -> tuple[Tensor, ...]:
        """What `forward` returns, from the net's predictions for one image."""
        boxes = decode_boxes(raw.loc[0], self.anchors)
        nms = cross_class_fast_nms if self.settings.cross_class else fast_nms
        found = nms(boxes, raw.conf_logits[0].softmax(dim=1), self.settings)
        coefficients, proto = raw.coefficients[0][found.priors], raw.proto[0]
        outputs = (found.boxes, found.scores, found.classes, coefficients, proto)
        if self.net.maskiou_net is None:
            return outputs
        return (*outputs, predicted_mask_iou(self.net.maskiou_net, cropped_masks(proto, coefficients, found.boxes), found.classes))


def predicted_mask_iou(net: MaskIoUNet, masks: Tensor, classes: Tensor) -> Tensor:
    """(N,): the MaskIoU net's word on each mask (N, h, w) for its own class (N,)."""
    return net(masks[:, None]).gather(1, classes[:, None])[:, 0]
