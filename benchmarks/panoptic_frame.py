"""A panoptic video frame by frame: UPSNet, VPSNet that carries features, and VPSNet whose trunk runs on both frames, in turns.

python -m benchmarks.panoptic_frame --vpsnet cityscapes_vps_fusetrack_latest.pth --out benchmarks/results/panoptic_frame.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from edgeseg.backends import BACKENDS, Choice
from edgeseg.bundle import Bundle
from edgeseg.families.base import KEY
from edgeseg.model import Carry, Model
from edgeseg.opencv import opencv
from edgeseg.types import Frame, SizeHW, U8Array
from export.checkpoints import load_checkpoint
from export.nets.rcnn.graph import GraphSpec
from export.recipes import recipe
from export.recipes.base import ExportOptions, GraphModule
from export.recipes.panoptic import PanopticRecipe
from export.to_onnx import graphs_to_onnx

from .conditions import conditions
from .frame import frame
from .paired import Contender, measure, ratio
from .two_backbones import Eager, naive_graphs

UPSNET, VPSNET, NAIVE = "upsnet", "vpsnet", "vpsnet, two backbones"
EAGER = "eager PyTorch, two backbones"
RECIPES = {UPSNET: "upsnet_resnet50_cityscapes", VPSNET: "vpsnet_fusetrack"}
BACKEND_NAMES = ("openvino", "onnxruntime")
OPTIONS = ExportOptions(proposals=1000, detections=100, target="cpu")
"""As the originals."""
STEP_PX = 4
"""How far the picture moves from one frame to the next."""
FRAMES = 8


@dataclass(frozen=True)
class Counts:
    """How often."""

    rounds: int
    warm_up: int
    """Rounds before, kept apart. The first of a stream is the key graph's."""


def main() -> int:
    """Measure, print tables, write the record."""
    args = _parser().parse_args()
    record: dict[str, Any] = {
        "what": "one frame of a panoptic stream, all steps key frames: prepare, infer, decode",
        "conditions": conditions(),
        "weights": {name: str(given.name) if (given := getattr(args, name)) else "untrained" for name in RECIPES},
        "frames": {},
    }
    for hw in args.frames:
        record["frames"][f"{hw[0]}x{hw[1]}"] = found = _at(args, hw)
        _print(hw, found)
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.panoptic_frame", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in RECIPES.items():
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"checkpoint of {default} (default: untrained)")
        parser.add_argument(f"--{name}-recipe", default=default, metavar="RECIPE", help="another net (default: %(default)s)")
    parser.add_argument("--flow-weights", type=Path, metavar="FILE", help="the flow net's, where they are not in the VPSNet file")
    parser.add_argument("--frames", type=size, nargs="+", default=[(256, 512), (1024, 2048)], metavar="HxW", help="frame sizes")
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=list(BACKEND_NAMES), metavar="NAME")
    parser.add_argument("--eager", action="store_true", help="the naive form in eager PyTorch too")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    parser.add_argument("--rounds", type=int, default=20, help="counted rounds (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=3, help="rounds before, kept apart (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="record to write, .json")
    return parser


def size(text: str) -> SizeHW:
    """Two sides that are written HxW."""
    height, width = (int(side) for side in text.split("x"))
    return height, width


def _at(args: argparse.Namespace, hw: SizeHW) -> dict[str, Any]:
    """Backend -> what was measured with frames of one size, which is the nets' too."""
    ups, vps = (sized(getattr(args, f"{name}_recipe"), hw) for name in RECIPES)
    pictures = moving(hw)
    with tempfile.TemporaryDirectory() as folder:
        vps_net = net_of(vps, args.vpsnet, args.flow_weights)
        bundles = bundles_of((ups, net_of(ups, args.upsnet)), (vps, vps_net), Path(folder))
        counts = Counts(args.rounds, args.warm_up)
        peers = {EAGER: eager(vps_net, vps.graph_spec(OPTIONS), pictures)} if args.eager else {}
        return {name: measured(bundles, name, pictures, counts, peers=peers, threads=args.threads) for name in args.backends}


def eager(net: nn.Module, spec: GraphSpec, pictures: Sequence[U8Array]) -> Contender:
    """The dense parts of the naive form in PyTorch; what it leaves out only makes it look faster."""
    peer = Eager(net, spec)
    turns = itertools.cycle(itertools.pairwise(pictures))

    def work() -> Mapping[str, float]:
        reference, image = next(turns)
        peer(image, reference)
        return {}

    return work


def sized(name: str, hw: SizeHW) -> PanopticRecipe:
    """A recipe for frames that are not resized."""
    chosen = recipe(name)
    if not isinstance(chosen, PanopticRecipe):
        raise SystemExit(f"{name} is no panoptic recipe")
    return replace(chosen, frame_hw=hw, shorter=min(hw), longer=max(hw))


def net_of(chosen: PanopticRecipe, weights: Path | None, flow_weights: Path | None = None) -> nn.Module:
    """The net with the given weights, or untrained: the same work but for what depends on how much is found."""
    if weights is not None:
        return load_checkpoint(weights, chosen, flow_weights)
    torch.manual_seed(0)
    return chosen.build_net().eval().requires_grad_(False)


def moving(hw: SizeHW) -> list[U8Array]:
    """Pictures uint8 (h, w, 3) of a view that moves to the right."""
    height, width = hw
    wide = opencv().resize(frame(), (width + FRAMES * STEP_PX, height))
    return [wide[:, k * STEP_PX : k * STEP_PX + width].copy() for k in range(FRAMES)]


def bundles_of(
    upsnet: tuple[PanopticRecipe, nn.Module], vpsnet: tuple[PanopticRecipe, nn.Module], folder: Path, options: ExportOptions = OPTIONS
) -> dict[str, Bundle]:
    """What takes turns, written into a folder. The options give the numbers of proposals and detections, and the target."""
    (ups, ups_net), (vps, vps_net) = upsnet, vpsnet
    carrying = vps.graphs(vps_net, options)
    return {
        UPSNET: _write(ups, ups.graphs(ups_net, options), folder / "ups"),
        VPSNET: _write(vps, carrying, folder / "vps"),
        NAIVE: _write(vps, naive_graphs(vps_net, vps.graph_spec(options), carrying[KEY].outputs), folder / "naive"),
    }


def _write(chosen: PanopticRecipe, modules: Mapping[str, GraphModule], folder: Path) -> Bundle:
    folder.mkdir()
    spec = chosen.input_spec(ExportOptions())
    graphs = graphs_to_onnx(modules, spec, folder, "fp32")
    return Bundle(chosen.family, chosen.name, chosen.labels, spec, graphs, {}, path=folder, settings=chosen.settings)


def measured(
    bundles: Mapping[str, Bundle],
    backend: str,
    pictures: Sequence[U8Array],
    counts: Counts,
    *,
    peers: Mapping[str, Contender] = MappingProxyType({}),
    threads: int | None = None,
) -> dict[str, Any]:
    """All bundles in turns on one backend, and peers that need none: for the record."""
    with ExitStack() as stack:
        streams = {name: Stream(stack.enter_context(_opened(bundle, backend, threads)), pictures) for name, bundle in bundles.items()}
        timings = measure({**streams, **peers}, counts.rounds, counts.warm_up)
        found = {name: stream.candidates for name, stream in streams.items()}
    return {
        "times_as_fast_as_two_backbones": ratio(timings[NAIVE], timings[VPSNET]),
        **{f"times_as_fast_as_{name}": ratio(timings[name], timings[VPSNET]) for name in peers},
        "candidates_in_the_last_frame": found,
        "timings": {name: timing.to_json() for name, timing in timings.items()},
    }


def _opened(bundle: Bundle, backend: str, threads: int | None) -> Model:
    def open_session(name: str) -> Any:
        return BACKENDS[backend].open(bundle.file(name, "fp32"), bundle.graphs[name], "fp32", threads)

    model = Model(bundle, open_session, Choice(backend, "measured"))
    if model.can_fuse:
        model.prepare_fuse()
    return model


class Stream:
    """One frame after the other, each with what the one before left."""

    def __init__(self, model: Model, pictures: Sequence[U8Array]) -> None:
        self.candidates = 0
        self._model = model
        self._frames = itertools.cycle([Frame(picture, index) for index, picture in enumerate(pictures)])
        self._carry: Carry | None = None

    def __call__(self) -> Mapping[str, float]:
        found = self._model.key(next(self._frames), self._carry)
        self._carry = found.carry
        self.candidates = 0 if found.decoded.candidates is None else len(found.decoded.candidates)
        return found.spans


def _print(hw: SizeHW, found: Mapping[str, Any]) -> None:
    for backend, one in found.items():
        ratios = ", ".join(f"{key.replace('_', ' ')}: {value['median']:.2f}" for key, value in one.items() if key.startswith("times_"))
        print(f"{hw[0]}x{hw[1]} on {backend}: {ratios}")
        for name, timing in one["timings"].items():
            parts = "  ".join(f"{part} {ms:.1f}" for part, ms in timing["parts_median_ms"].items())
            print(f"  {name:22} median {timing['median_ms']:9.1f} ms  p99 {timing['p99_ms']:9.1f} ms  ({parts})")


if __name__ == "__main__":
    raise SystemExit(main())
