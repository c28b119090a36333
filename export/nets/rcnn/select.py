"""Non-maximum suppression inside groups, then the best of all groups, with static shapes.

* `exact_select`: greedy suppression as the originals do it. As an operator it becomes ONNX's NonMaxSuppression (`operators`).
* `matrix_select`, `candidate_select`: a fixed point on the matrix of overlaps; standard operators that TensorRT builds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .boxes import sides

DROPPED = -1e30
"""Rank of what does not take part."""
_ROUNDS = 20
"""Steps of the fixed point. After k of them all boxes are right that end a chain of at most k suppressions."""
_CANDIDATES = 1000


class Selected(NamedTuple):
    """The best boxes, at most as many as asked for."""

    ranks: Tensor
    """(count,) descending; `DROPPED` where there was no box left."""
    index: Tensor
    """(count,) int64: group * N + place in the group; 0 where there was no box left."""


Select = Callable[[Tensor, Tensor, float, int], Selected]
"""boxes (G, N, 4), ranks (G, N), IoU above which a box is suppressed, count -> `Selected`."""


def exact_select(boxes: Tensor, ranks: Tensor, iou: float, count: int) -> Selected:
    """See `Select`."""
    kept = torch.full_like(ranks, DROPPED)
    for group in range(len(ranks)):
        places = (ranks[group] > DROPPED).nonzero()[:, 0]
        places = places[ranks[group, places].argsort(descending=True, stable=True)]
        left = places[_fixed_point(_suppresses(boxes[group, places], iou), len(places)) > 0]
        kept[group, left] = ranks[group, left]
    return _best(kept.flatten(), count)


def matrix_select(boxes: Tensor, ranks: Tensor, iou: float, count: int) -> Selected:
    """See `Select`. Ranks must descend along N, but for those that are `DROPPED`."""
    alive = (ranks > DROPPED).to(boxes.dtype)
    keep = _fixed_point(_suppresses(boxes, iou) * alive[..., None], _ROUNDS)
    return _best(torch.where((keep * alive).flatten() > 0, ranks.flatten(), DROPPED), count)


def candidate_select(boxes: Tensor, ranks: Tensor, iou: float, count: int) -> Selected:
    """See `Select`; for many groups, of which few boxes take part: the best `_CANDIDATES` of all groups at once.

    Greedy suppression goes down the ranks, so these decide over themselves alone. The result is that of all boxes whenever ``count`` of
    the candidates are left, or no other box takes part.
    """
    size = min(_CANDIDATES, ranks.numel())
    best, index = ranks.flatten().topk(size)
    group = torch.div(index, ranks.shape[1], rounding_mode="floor")
    alive = (best > DROPPED).to(boxes.dtype)
    same = (group[:, None] == group[None]).to(boxes.dtype)
    keep = _fixed_point(_suppresses(boxes.flatten(0, 1)[index], iou) * same * alive[:, None], _ROUNDS)
    found = _best(torch.where(keep * alive > 0, best, DROPPED), count)
    return Selected(found.ranks, torch.where(found.ranks > DROPPED, index[found.index], 0))


def _suppresses(boxes: Tensor, iou: float) -> Tensor:
    """1.0 where box i would suppress box j: it comes before it and overlaps it by more. boxes (..., N, 4) -> (..., N, N)."""
    low = torch.maximum(boxes[..., :, None, :2], boxes[..., None, :, :2])
    high = torch.minimum(boxes[..., :, None, 2:], boxes[..., None, :, 2:])
    overlap = (high - low).clamp(min=0).prod(dim=-1)
    width, height = sides(boxes)
    area = width * height
    above = overlap / (area[..., :, None] + area[..., None, :] - overlap) > iou
    before = torch.ones(boxes.shape[-2], boxes.shape[-2], dtype=boxes.dtype, device=boxes.device).triu(diagonal=1)
    return above * before


def _fixed_point(suppresses: Tensor, rounds: int) -> Tensor:
    """1.0 for boxes that no kept box suppresses, (..., N) from (..., N, N). N rounds always suffice; it ends early when nothing changes."""
    keep = suppresses.new_ones((*suppresses.shape[:-2], 1, suppresses.shape[-1]))
    for _ in range(rounds):
        before, keep = keep, (torch.matmul(keep, suppresses) < 0.5).to(suppresses.dtype)
        if not torch.compiler.is_compiling() and torch.equal(before, keep):
            break
    return keep[..., 0, :]


def _best(ranks: Tensor, count: int) -> Selected:
    """Of ranks (M,), of which there may be too few."""
    missing = max(count - len(ranks), 0)
    best, index = ranks.topk(count - missing)
    index = torch.where(best > DROPPED, index, 0)
    if missing == 0:
        return Selected(best, index)
    return Selected(torch.cat([best, best.new_full((missing,), DROPPED)]), torch.cat([index, index.new_zeros(missing)]))
