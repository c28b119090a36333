"""VPSNet as its original computes it: the trunk runs on the frame and again on the one before, of which only the picture is kept."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeseg.families import panoptic
from edgeseg.families.base import FUSE, IMAGE, KEY
from edgeseg.types import U8Array
from export.nets.panoptic.graph import FuseGraph, PanopticGraph
from export.nets.panoptic.net import VpsNet
from export.nets.rcnn.graph import GraphSpec
from export.recipes.base import GraphModule

CARRY = {panoptic.REFERENCE_IMAGE: panoptic.CARRIED_IMAGE}


class FirstFrame(PanopticGraph):
    """Of one picture, which is all that it leaves for the next."""

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(1, h, w, 3) BGR -> what the key graph gives but the features."""
        *found, _, picture = super().forward(image)
        return *found, picture


class TwoBackbones(FuseGraph):
    """Of a frame after another; it gives what `FirstFrame` gives."""

    def forward(self, image: Tensor, reference_image: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Two pictures (1, h, w, 3) BGR."""
        reference = self.net.balanced(self.net.features(self.padded(reference_image)))
        *found, _, picture = super().forward(image, reference, reference_image)
        return *found, picture


def naive_graphs(net: nn.Module, spec: GraphSpec, outputs: tuple[str, ...]) -> dict[str, GraphModule]:
    """The two graphs of a net whose recipe's key graph has these outputs."""
    given = tuple(name for name in outputs if name != panoptic.BSF)
    return {
        KEY: GraphModule(FirstFrame(net, spec).eval(), given, carry=CARRY),
        FUSE: GraphModule(TwoBackbones(net, spec).eval(), given, (IMAGE, *CARRY), CARRY),
    }


class Eager:
    """The same work in eager PyTorch, but for RoIs and all that is made of them: the trunk on both pictures, flow, fusing, dense heads."""

    def __init__(self, net: VpsNet, spec: GraphSpec) -> None:
        self._graph = TwoBackbones(net, spec).eval()
        self._net = net

    @torch.inference_mode()
    def __call__(self, image: U8Array, reference: U8Array) -> Tensor:
        """Two pictures uint8 (h, w, 3) BGR -> semantic logits (1, C, H / 4, W / 4)."""
        pictures = [self._graph.padded(torch.from_numpy(picture)[None]) for picture in (image, reference)]
        levels, others = (self._net.features(picture) for picture in pictures)
        flow = self._net.flow(*(self._graph.normalise.rgb_of(picture) for picture in pictures))
        fused = self._net.fused(levels, self._net.balanced(levels), self._net.balanced(others), flow)
        self._net.propose(fused)
        semantic: Tensor = self._net.semantic(fused)
        return semantic
