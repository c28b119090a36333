"""One 1080p frame in, run-length masks out: Mask R-CNN in edgeseg against the same torch module in eager mode, and its parts.

python -m benchmarks.maskrcnn_frame --weights maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

import edgeseg
from edgeseg.types import U8Array
from export.checkpoints import load_checkpoint
from export.nets.rcnn.graph import GraphSpec, RcnnGraph
from export.recipes import recipe
from export.recipes.base import ExportOptions, Recipe, configured
from export.run import Job, export_bundle

from .conditions import conditions, peak_memory_mb
from .eager_rcnn import EagerRcnn
from .frame import FRAME_HW, MEMORY_RUNS, frame, ours, share_outside
from .paired import Contender, measure, ratio
from .rcnn_parts import measure_parts, write_parts

RECIPE = "maskrcnn_resnet50_fpn"
COUNTS = {"1000/100": (1000, 100), "300/30": (300, 30)}
"""Proposals and detections; the first is what the original has."""
BACKENDS = ("openvino", "onnxruntime")
EAGER = "torch eager 1000/100"
SCORE = 0.05
"""What the original reports from."""


def main() -> int:
    """Measure, print tables, write the record."""
    args = _parser().parse_args()
    if args.eager_memory_at is not None:
        print(json.dumps(_eager_memory_mb(args)))
        return 0
    record: dict[str, Any] = {
        "what": f"{RECIPE}, {FRAME_HW[1]} x {FRAME_HW[0]} frame in, run-length masks out",
        "conditions": conditions(),
        "weights": args.weights.name,
        "score": args.score,
        "sizes": {},
    }
    for size in args.sizes:
        with tempfile.TemporaryDirectory() as folder:
            record["sizes"][size] = _whole(args, size, Path(folder)) | {"parts": _parts(args, size, Path(folder))}
        _print(size, record["sizes"][size])
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.maskrcnn_frame", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True, help=f"checkpoint of {RECIPE}")
    parser.add_argument("--sizes", type=int, nargs="+", default=[800, 480], help="shorter sides of the resized frame (default: 800 480)")
    parser.add_argument("--score", type=float, default=SCORE, help="instances must score more (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="counted rounds (default: %(default)s)")
    parser.add_argument("--part-rounds", type=int, default=10, help="counted rounds of the cut graphs; 0 = none (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=3, help="rounds before, kept apart (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="record to write, .json")
    parser.add_argument("--eager-memory-at", type=int, help=argparse.SUPPRESS)
    return parser


def _options(size: int, counts: str) -> ExportOptions:
    proposals, detections = COUNTS[counts]
    return ExportOptions(size=(size,), frame=FRAME_HW, proposals=proposals, detections=detections)


def _recipe(size: int, counts: str = "1000/100") -> Recipe:
    return configured(recipe(RECIPE), _options(size, counts))


def _whole(args: argparse.Namespace, size: int, folder: Path) -> dict[str, Any]:
    """The whole way from the frame to the codes."""
    bundles = {counts: folder / counts.replace("/", "_") for counts in COUNTS}
    for counts, bundle in bundles.items():
        export_bundle(Job(_recipe(size, counts), args.weights, bundle, _options(size, counts)), lambda _: None)
    picture = frame()
    with ExitStack() as stack:
        models = {
            f"{backend} {counts}": stack.enter_context(edgeseg.load(bundle, backend=backend, score_threshold=args.score))
            for backend in BACKENDS
            for counts, bundle in bundles.items()
        }
        eager = _eager(args, size)
        contenders: dict[str, Contender] = {name: ours(model, picture) for name, model in models.items()}
        contenders[EAGER] = _peer(eager, picture)
        timings = measure(contenders, args.rounds, args.warm_up)
        found = {name: len(model(picture).instances or ()) for name, model in models.items()} | {EAGER: len(eager(picture))}
    return {
        "network_hw": _recipe(size).input_spec(ExportOptions()).size,
        "detections": found,
        "times_as_fast_as_eager": {name: ratio(timings[EAGER], timings[name]) for name in models},
        "outside_session_run": {name: share_outside(timings[name].parts_s) for name in models},
        "peak_memory_mb": {
            **{
                f"{backend} {counts}": _memory_mb("frame", bundle, backend, args.score)
                for backend in BACKENDS
                for counts, bundle in bundles.items()
            },
            EAGER: _memory_mb("maskrcnn_frame", "--weights", args.weights, "--score", args.score, "--eager-memory-at", size),
        },
        "timings": {name: timing.to_json() for name, timing in timings.items()},
    }


def _parts(args: argparse.Namespace, size: int, folder: Path) -> dict[str, Any]:
    """Backend and counts -> what each part of the graph takes."""
    if not args.part_rounds:
        return {}
    net = load_checkpoint(args.weights, _recipe(size))
    spec = _recipe(size).input_spec(ExportOptions())
    image = spec.place(FRAME_HW).apply(frame(), spec.dtype)
    parts = {}
    for counts, (proposals, detections) in COUNTS.items():
        graph = RcnnGraph(net, GraphSpec(spec.size, proposals, detections, "cpu"))
        files = write_parts(graph, torch.from_numpy(image), folder)
        for backend in BACKENDS:
            parts[f"{backend} {counts}"] = measure_parts(files, backend, image, args.part_rounds, args.warm_up)
    return parts


def _eager(args: argparse.Namespace, size: int) -> EagerRcnn:
    chosen = _recipe(size)
    return EagerRcnn(load_checkpoint(args.weights, chosen), chosen.input_spec(ExportOptions()).size, args.score)


def _peer(eager: EagerRcnn, picture: U8Array) -> Contender:
    def work() -> Mapping[str, float]:
        eager(picture)
        return {}

    return work


def _memory_mb(module: str, *arguments: object) -> float:
    """Peak memory of a fresh process that does nothing else."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    return float(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _eager_memory_mb(args: argparse.Namespace) -> float:
    eager = _eager(args, args.eager_memory_at)
    for _ in range(MEMORY_RUNS):
        eager(frame())
    return round(peak_memory_mb(), 1)


def _print(size: int, found: Mapping[str, Any]) -> None:
    print(f"size {size}: network {found['network_hw']}")
    for name, timing in found["timings"].items():
        times = found["times_as_fast_as_eager"].get(name, {}).get("median", 1)
        print(
            f"{name:22} median {timing['median_ms']:8.1f} ms   p99 {timing['p99_ms']:8.1f} ms   {times:5.2f} times eager   "
            f"{found['detections'][name]} detections, {found['peak_memory_mb'][name]} MB"
        )
    for name, parts in found["parts"].items():
        print(f"{name:22} " + "   ".join(f"{part} {value['share']:.1%}" for part, value in parts["parts"].items()))


if __name__ == "__main__":
    raise SystemExit(main())
