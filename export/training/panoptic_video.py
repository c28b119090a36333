"""A video panoptic net on pairs of frames: flow, fused features, and who is who (Kim et al., Video Panoptic Segmentation, CVPR 2020)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from edgeseg.types import SizeHW

from ..nets.panoptic.net import VpsNet
from ..nets.rcnn.config import BOX_CELLS
from .panoptic_data import Drawing, PairBatches, Pairs
from .panoptic_loss import flow_error, track_loss
from .panoptic_pool import pool
from .panoptic_stage import Machine, PanopticStage
from .panoptic_truth import Truths, moved

PAIRS_PER_BATCH = 16
FLOW_WEIGHT, TRACK_WEIGHT = 0.5, 0.5


class PanopticVideoStage(PanopticStage):
    """All of a net that fuses each frame with an earlier one, its flow net and track head too."""

    def __init__(self, net: VpsNet, input_hw: SizeHW, machine: Machine) -> None:
        super().__init__(net, input_hw, machine)
        self._video = net

    def batches(self, iterations: int, seed: int) -> PairBatches:  # type: ignore[override]
        """Pairs of as many scenes."""
        return PairBatches(iterations, Drawing(self._input_hw, PAIRS_PER_BATCH, self._machine.workers, seed))

    def examples(self, batch: Pairs) -> Iterator[Pairs]:  # type: ignore[override]
        """Each batch once."""
        yield moved(batch, self._machine.device)

    def losses(self, example: Pairs) -> dict[str, Tensor]:  # type: ignore[override]
        """The terms of all heads on the fused features, of the flow net and of the track head."""
        net, count = self._video, len(example.flow)
        prepared = self._prepared(torch.cat([example.now.images, example.reference.images]))
        with self._halved():
            levels = [level.float() for level in net.features(prepared)]
        now, reference = [level[:count] for level in levels], [level[count:] for level in levels]
        rgb = self._normalise.rgb_of(prepared)
        flow = net.flow(rgb[:count], rgb[count:])
        bsf, reference_bsf = net.balanced(now), net.balanced(reference)
        # The flow net learns from true flow alone.
        fused = net.fused(now, bsf, reference_bsf, flow.detach())
        alone = net.fused(reference, reference_bsf, reference_bsf, torch.zeros_like(flow))
        vectors = self._vectors(fused, example.now.truths), self._vectors(alone, example.reference.truths)
        return {
            **self._frame_losses(fused, example.now.truths),
            "flow": FLOW_WEIGHT * flow_error(flow, example.flow, example.weight),
            "track": TRACK_WEIGHT * track_loss(*vectors, example.now.truths, example.reference.truths),
        }

    def _vectors(self, levels: Sequence[Tensor], truths: Truths) -> Tensor:
        """float32 (B, G, D) of the objects in slots, as the track head sees them."""
        features = pool(levels[:-1], truths.boxes, self._video.config, BOX_CELLS)
        with self._halved():
            vectors = self._video.embed(features)
        return vectors.float().unflatten(0, truths.classes.shape)
