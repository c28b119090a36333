"""RoIAlign of UPSNet and VPSNet, out of the forms of Mask R-CNN's."""

from __future__ import annotations

from torch import Tensor

from ..rcnn.roi_align import Align, LevelPooler, RoiSampling
from .boxes import with_corners
from .config import PanopticConfig

_SAMPLES_PER_SIDE = 2
_EPS = 1e-6


def roi_pooler(config: PanopticConfig, cells: int, align: Align) -> LevelPooler:
    """What cuts RoIs with ends (`boxes`) out of the level that fits their size, (R, C, cells, cells)."""
    ends = config.flavour.roi_ends_inclusive
    # log2(sqrt(area) / 224 + eps) + 2 is UPSNet's level, log2(sqrt(area) / 56 + eps) VPSNet's.
    inside = _EPS / 4 if ends else _EPS
    thresholds = [config.level_side * (2.0**k - inside) for k in (-1, 0, 1)]
    return LevelPooler(RoiSampling(cells, ends, _SAMPLES_PER_SIDE), thresholds, _of_ends(align) if ends else _of_corners(align))


def _of_corners(align: Align) -> Align:
    """RoIs from corner to corner, one cell wide at least."""
    return lambda features, boxes, scale, sampling: align(features, with_corners(boxes), scale, sampling)


def _of_ends(align: Align) -> Align:
    """RoIs of any size. Aligned sampling has no smallest one; the half cell by which it moves RoIs is taken back."""

    def cut(features: Tensor, boxes: Tensor, scale: float, sampling: RoiSampling) -> Tensor:
        return align(features, boxes + 0.5 / scale, scale, sampling)

    return cut
