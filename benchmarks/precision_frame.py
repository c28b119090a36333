"""One 1080p frame in, run-length masks out, in every precision of one bundle, against the same torch module in eager mode.

python -m benchmarks.precision_frame --bundle r50 --weights yolact_resnet50_54_800000.pth
"""

from __future__ import annotations

import argparse
import json
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import edgeseg
from edgeseg.bundle import Bundle, read_bundle
from edgeseg.ledger import PrecisionWarning, read_ledger
from export.checkpoints import load_checkpoint
from export.recipes import recipe

from .conditions import conditions
from .eager_yolact import EagerYolact
from .frame import FRAME_HW, frame, ours, share_outside
from .paired import Contender, measure, ratio
from .yolact_frame import EAGER, score_for, torch_frame

CONTENDERS = (
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
    ("onnxruntime", "fp32"),
    ("onnxruntime", "int8"),
)
ALSO = "openvino int8, also"


def main() -> int:
    """Measure, print a table, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True, help="bundle of a YOLACT recipe with fp32 and int8 graphs")
    parser.add_argument("--weights", type=Path, required=True, help="the checkpoint that it was exported from")
    parser.add_argument("--also", type=Path, help="another bundle of these weights, of which int8 is timed on OpenVINO too")
    parser.add_argument("--rounds", type=int, default=30, help="counted rounds (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=3, help="rounds before, kept apart (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="record to write, .json")
    args = parser.parse_args()
    record = _record(args)
    for name, timing in record["timings"].items():
        faster = record["times_as_fast_as_eager"].get(name, "")
        print(f"{name:18} median {timing['median_ms']:7.1f} ms  p99 {timing['p99_ms']:7.1f} ms  {faster}")
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def _record(args: argparse.Namespace) -> dict[str, Any]:
    before = conditions()
    bundle, picture = read_bundle(args.bundle), frame()
    score = score_for(args.bundle, picture)
    eager = EagerYolact(load_checkpoint(args.weights, recipe(bundle.recipe)), score)
    with ExitStack() as held, warnings.catch_warnings():
        # What the ledger says of untrained weights is in the record.
        warnings.simplefilter("ignore", PrecisionWarning)
        models = {
            f"{backend} {precision}": held.enter_context(
                edgeseg.load(args.bundle, backend=backend, precision=precision, score_threshold=score)
            )
            for backend, precision in CONTENDERS
        }
        if args.also is not None:
            models[ALSO] = held.enter_context(edgeseg.load(args.also, backend="openvino", precision="int8", score_threshold=score))
        contenders: dict[str, Contender] = {EAGER: torch_frame(eager, picture)}
        contenders |= {name: ours(model, picture) for name, model in models.items()}
        timings = measure(contenders, args.rounds, args.warm_up)
        found = {name: len(model(picture).instances or ()) for name, model in models.items()} | {EAGER: len(eager(picture))}
    return {
        "what": f"{bundle.recipe}, {FRAME_HW[1]} x {FRAME_HW[0]} frame in, run-length masks out",
        "conditions": before,
        "weights": args.weights.name,
        "score": score,
        "detections": found,
        "times_as_fast_as_eager": {name: ratio(timings[EAGER], timings[name]) for name in models},
        "times_as_fast_as_openvino_fp32": {name: ratio(timings["openvino fp32"], timings[name]) for name in models},
        "outside_session_run": {name: share_outside(timings[name].parts_s) for name in models},
        "float_layers": _float_layers(bundle) | ({ALSO: _float_layers(read_bundle(args.also))["int8"]} if args.also else {}),
        "timings": {name: timing.to_json() for name, timing in timings.items()},
    }


def _float_layers(bundle: Bundle) -> dict[str, list[str]]:
    return {entry.precision: list(entry.float_layers) for entry in read_ledger(bundle).entries}


if __name__ == "__main__":
    raise SystemExit(main())
