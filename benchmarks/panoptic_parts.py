"""What each part of a fusing VPSNet takes on a frame. Every part is a graph of its own, and they take turns.

python -m benchmarks.panoptic_parts --vpsnet cityscapes_vps_fusetrack_latest.pth --out benchmarks/results/panoptic_parts.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.backends import BACKENDS, Session
from edgeseg.types import SizeHW
from export.nets.panoptic.net import VpsNet
from export.to_onnx import to_onnx

from .conditions import conditions
from .paired import Contender, measure
from .panoptic_frame import BACKEND_NAMES, RECIPES, VPSNET, net_of, size, sized

LEVELS = ("p2", "p3", "p4", "p5", "p6")
STRIDES = (4, 8, 16, 32, 64)


class Part(nn.Module):
    """Some of a net's work; it returns one number made from all that the part gives, so that no output has to be copied."""

    def __init__(self, net: VpsNet, work: Callable[..., tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.net = net
        self.work = work

    def forward(self, *given: Tensor) -> tuple[Tensor]:
        """What the part takes -> (1,)."""
        return (torch.stack([tensor.mean() for tensor in self.work(*given)]).sum(dim=0, keepdim=True),)


def parts_of(net: VpsNet, hw: SizeHW) -> dict[str, tuple[nn.Module, dict[str, Tensor]]]:
    """Name -> module and inputs, for frames whose sides are multiples of 64. RoIs and what is made of them are no part."""
    height, width = hw
    picture = torch.rand(1, 3, height, width) * 255
    levels = {name: torch.rand(1, net.config.fpn_channels, height // s, width // s) for name, s in zip(LEVELS, STRIDES, strict=True)}
    features, flow = levels["p2"], torch.rand(1, 2, height // 4, width // 4)
    fused = {**levels, "bsf": features, "reference": features, "flow": flow}
    work: dict[str, tuple[Callable[..., tuple[Tensor, ...]], dict[str, Tensor]]] = {
        "trunk and pyramid": (net.features, {"image": picture}),
        "flow net": (lambda image, reference: (net.flow(image, reference),), {"image": picture, "reference": picture}),
        "fuse module": (lambda *given: net.fused(given[:5], *given[5:]), fused),
        "semantic head": (lambda *given: (net.semantic(given),), levels),
        "RPN head": (lambda *given: tuple(tensor for level in net.propose(given) for tensor in level), levels),
    }
    return {name: (Part(net, function).eval(), inputs) for name, (function, inputs) in work.items()}


def measured(net: VpsNet, hw: SizeHW, backend: str, rounds: int, warm_up: int) -> dict[str, Any]:
    """Milliseconds of every part of one frame, for the record."""
    contenders: dict[str, Contender] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for number, (name, (module, inputs)) in enumerate(parts_of(net, hw).items()):
            file = Path(folder) / f"{number}.onnx"
            graph = to_onnx(module, inputs, ("sum",), file)
            session = stack.enter_context(BACKENDS[backend].open(file, graph, "fp32", None))
            contenders[name] = _runs(session, {key: tensor.numpy() for key, tensor in inputs.items()})
        return {name: timing.to_json() for name, timing in measure(contenders, rounds, warm_up).items()}


def _runs(session: Session, feeds: Mapping[str, Any]) -> Contender:
    def work() -> Mapping[str, float]:
        session.run(feeds)
        return {}

    return work


def main() -> int:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.panoptic_parts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vpsnet", type=Path, metavar="FILE", help=f"checkpoint of {RECIPES[VPSNET]} (default: untrained)")
    parser.add_argument("--recipe", default=RECIPES[VPSNET], help="another net (default: %(default)s)")
    parser.add_argument("--frame", type=size, default=(256, 512), metavar="HxW", help="frame size, multiples of 64 (default: 256x512)")
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=list(BACKEND_NAMES), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=10, help="counted rounds (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="record to write, .json")
    args = parser.parse_args()
    net = net_of(sized(args.recipe, args.frame), args.vpsnet)
    record = {"what": "parts of a fusing VPSNet", "frame": args.frame, "conditions": conditions(), "backends": {}}
    for backend in args.backends:
        record["backends"][backend] = found = measured(net, args.frame, backend, args.rounds, warm_up=2)
        print(backend, {name: timing["median_ms"] for name, timing in found.items()})
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
