"""``edgeseg export``: a checkpoint becomes a bundle. torch is imported only when the work begins."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from edgeseg.bundle import Bundle
from edgeseg.cli.logs import note
from edgeseg.cli.progress import progress
from edgeseg.cli.report import ledger_table
from edgeseg.errors import MissingDependencyError, UsageError
from edgeseg.events import Event
from edgeseg.families.base import KEY
from edgeseg.ledger import read_ledger
from edgeseg.types import SizeHW

from .recipes import RECIPES, recipe
from .recipes.base import ExportOptions, Recipe, configured

EXAMPLES = """examples:
  edgeseg export --list
  edgeseg export yolact_resnet50 --weights yolact_resnet50_54_800000.pth --out r50
  edgeseg export yolact_base --weights my_model.pth --labels names.txt --out mine
  edgeseg export yolact_edge_mobilenetv2 --weights yolact_edge_mobilenetv2_54_800000.pth --out mnv2 --input-dtype float32
  edgeseg export maskrcnn_resnet50_fpn_v2 --weights maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth --out mask --frame 720x1280
  edgeseg export yolact_edge_vid --weights yolact_edge_vid_847_50000.pth --out video
  edgeseg export yolact_resnet50 --weights yolact_resnet50_54_800000.pth --out r50 --precision fp32,fp16,int8 --calibration street.mp4
"""
_LABELS_BYTES_MAX = 1_000_000


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command's parser."""
    parser = subparsers.add_parser(
        "export",
        help="turn a PyTorch checkpoint into a bundle",
        description="Turn an official PyTorch checkpoint into a bundle, and prove on real pictures that its graph is the same network.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="name of the official configuration; --list prints them")
    parser.add_argument("--list", action="store_true", help="print the recipes and exit")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="checkpoint, .pth, or .pkl of detectron2")
    parser.add_argument("--flow-weights", type=Path, metavar="FILE", help="VPSNet: FlowNet2's weights, where the checkpoint lacks them")
    parser.add_argument("--out", type=Path, metavar="DIR", help="bundle folder to write; an older bundle there is replaced")
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="class names of a fine-tuned checkpoint, one a line, in training order; UPSNet and VPSNet: stuff first, as `stuff: NAME`",
    )
    parser.add_argument(
        "--size",
        type=_sizes,
        metavar="PIXELS[,MAX]",
        help="YOLACT: side of the square network input; Mask R-CNN: what a frame's shorter side is resized to, unless that makes the "
        "longer one more than MAX (default: the recipe's, 800,1333 for Mask R-CNN)",
    )
    parser.add_argument(
        "--input-dtype",
        choices=("uint8", "float32"),
        default="uint8",
        help="uint8: pictures are resized in integers, faster; float32: in float, exactly as the originals (default: %(default)s)",
    )
    parser.add_argument("--cross-class-nms", action="store_true", help="YOLACT: suppress overlapping boxes of different classes too")
    _add_two_stage(parser)
    add_precision_options(parser, default="fp32")
    parser.set_defaults(main=main)


def _add_two_stage(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("Mask R-CNN and Faster R-CNN")
    group.add_argument("--frame", type=_frame, metavar="HxW", help="shape of the frames that the bundle is for (default: 720x1280)")
    group.add_argument("--fit", choices=("refuse", "letterbox"), help="what to do with frames of another shape (default: refuse)")
    group.add_argument("--proposals", type=int, metavar="N", help="boxes that the second stage looks at; fewer are faster (default: 1000)")
    group.add_argument("--detections", type=int, metavar="N", help="objects in a frame at most; fewer are faster (default: 100)")
    group.add_argument("--min-score", type=float, metavar="S", help="score that detections must be above; higher is faster (default: 0.05)")
    group.add_argument("--target", choices=("cpu", "tensorrt"), help="the operators to use; tensorrt ones run everywhere (default: cpu)")


def add_precision_options(parser: argparse.ArgumentParser, **precision: Any) -> None:
    """Which precisions to make, and what to calibrate and compare them on."""
    group = parser.add_argument_group("precision (docs/precision.md explains them)")
    group.add_argument(
        "--precision",
        metavar="P[,P...]",
        help="fp32 and, to be added, fp16 and int8, which are files of their own, and bf16, which is OpenVINO's own and is measured only",
        **precision,
    )
    group.add_argument(
        "--calibration",
        metavar="SOURCE",
        help="pictures that show the ranges of activations: a folder, a video, or synthetic: for made-up scenes; of what the model will "
        "see (default: pictures that ship with edgeseg)",
    )
    group.add_argument(
        "--pictures",
        metavar="SOURCE",
        help="pictures to compare on; of synthetic: average precision too, with 200 scenes (default: 16 that ship with edgeseg)",
    )
    group.add_argument("--truth", type=Path, metavar="FILE", help="what is in these pictures, in COCO's format: average precision too")
    group.add_argument(
        "--accept-loss",
        action="store_true",
        help="write a precision whatever it loses, with no more in float than the heads' last layers; the ledger says so",
    )


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit code."""
    if args.list:
        width = max(map(len, RECIPES))
        print("\n".join(f"{name:{width}}  {entry.summary}" for name, entry in RECIPES.items()))
        return 0
    missing = [name for name, value in (("RECIPE", args.recipe), ("--weights", args.weights), ("--out", args.out)) if value is None]
    if missing:
        raise UsageError(f"export needs {', '.join(missing)}; see: edgeseg export --help")
    options = ExportOptions(**{option.name: getattr(args, option.name) for option in fields(ExportOptions)})
    chosen = _configured(args, options)
    if hint := name_hint(args.weights, recipe(args.recipe)):
        note(Event("export.hint", hint))
    run = worker(".run", "torch", "onnx", "onnxscript", "onnxruntime")
    pictures, reduction = worker(".reduce").reduction_of(args, chosen.labels)
    job = run.Job(chosen, args.weights, args.out, options, pictures, reduction, args.flow_weights)
    with progress(f"export {chosen.name}", total=len(run.STEPS)) as bar:
        bundle = run.export_bundle(job, lambda step: bar.advance(1, detail=f"{step} done"), lambda what: bar.advance(0, detail=what))
    for name, parity in bundle.parity.items():
        print(parity_text(name, parity))
    print_ledger(bundle)
    print(f"wrote {args.out}")
    return 0


def print_ledger(bundle: Bundle) -> None:
    """The ledger as a table, where more than float32 was made."""
    ledger = read_ledger(bundle)
    if any(entry.precision != "fp32" for entry in ledger.entries):
        print(ledger_table(ledger))


def _configured(args: argparse.Namespace, options: ExportOptions) -> Recipe:
    chosen = recipe(args.recipe)
    if args.labels is not None:
        chosen = chosen.with_labels(read_labels(args.labels))
    return configured(chosen, options)


def _sizes(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d+(,\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of pixels, nor two with a comma between")
    return tuple(int(side) for side in text.split(","))


def _frame(text: str) -> SizeHW:
    if not (sides := re.fullmatch(r"(\d+)x(\d+)", text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a shape such as 720x1280, height first")
    return int(sides[1]), int(sides[2])


def parity_text(graph: str, parity: Mapping[str, Any]) -> str:
    """What the comparison of graph and network showed, and what it could not show."""
    pictures = f"{parity['pictures']} {'pictures' if graph == KEY else 'pairs of pictures'}"
    if not parity["instances"]:
        compared = "same dense outputs as the network on" if parity["dense_error"] else "compared with the network on"
        return (
            f"graph {graph}: {compared} {pictures}, but neither found anything there: boxes, "
            "scores and classes are unproven. Give pictures of what the network knows with --pictures DIR."
        )
    return (
        f"graph {graph}: same as the network on {pictures}: {parity['instances']} instances, "
        f"{parity['unmatched']} unmatched, score error {parity['max_score_error']:.1e}, mask IoU {parity['min_mask_iou']:.4f}"
    )


def name_hint(weights: Path, chosen: Recipe) -> str:
    """What to say when an official file name, ``<config>_<epoch>_<iter>.pth``, names another net than the recipe; else empty.

    Some nets differ only in input size and anchors, which no weights file holds: its name alone can tell.
    """
    parts = re.fullmatch(r"(.+)_\d+_\d+", weights.stem)
    named = RECIPES.get(parts[1]) if parts else None
    if named is None or named.same_net(chosen):
        return ""
    return f"note: the file name says {named.name} ({named.summary}), the recipe is {chosen.name} ({chosen.summary}). Is that meant?"


def read_labels(file: Path) -> list[str]:
    """Class names from a text file, one a line; blank lines at the end do not count."""
    try:
        if file.stat().st_size > _LABELS_BYTES_MAX:
            raise UsageError(f"{file} is larger than {_LABELS_BYTES_MAX} bytes, which no list of class names is")
        lines = file.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read as a list of class names, one a line, UTF-8: {error}") from error
    return lines


def worker(module: str, *packages: str) -> Any:
    """The module that does the work; raises MissingDependencyError where what it needs is not installed."""
    try:
        for package in packages:
            importlib.import_module(package)
    except ImportError as error:
        raise MissingDependencyError.for_extra(", ".join(packages), "export", error) from error
    return importlib.import_module(module, __package__)
