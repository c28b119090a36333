"""Would pictures of several cameras in one run of the network be faster than one run after the other?

python -m benchmarks.batching --recipe yolact_demo_video --recipe yolact_resnet50 --out benchmarks/results/batching.json

The network up to the raw predictions, where nearly all the time goes, with 1 and with N pictures, both on the same session settings, in
turns. Its weights are the initial ones: they do not change its cost.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgeseg.backends import BACKENDS, Session
from edgeseg.families.base import IMAGE
from edgeseg.types import F32Array
from export.recipes import recipe
from export.to_onnx import to_onnx

from .conditions import conditions
from .paired import Contender, measure, ratio

BATCHES = (2, 4, 8)


class Trunk(nn.Module):
    """One number for each picture, made from all raw predictions: no output has to be copied."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> tuple[Tensor]:
        """(n, 3, S, S) normalised RGB -> (n,)."""
        return (torch.stack([raw.flatten(1).mean(dim=1) for raw in self.net(image)]).sum(dim=0),)


def main() -> int:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.batching", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", action="append", required=True, help="a YOLACT recipe; may be given several times")
    parser.add_argument("--rounds", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, help="record to write, .json")
    args = parser.parse_args()
    record: dict[str, Any] = {"conditions": conditions(), "rounds": args.rounds}
    for name in args.recipe:
        record[name] = {backend: compare(name, backend, args.rounds) for backend in ("openvino", "onnxruntime")}
    print(json.dumps({name: record[name] for name in args.recipe}, indent=1))
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def compare(name: str, backend: str, rounds: int) -> dict[str, dict[str, Any]]:
    """How many times as long n runs take as one run of n pictures, for each n."""
    found = {}
    configured = recipe(name)
    net = Trunk(configured.build_net()).eval()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        sessions = {n: stack.enter_context(_open(net, configured.input_hw, n, backend, Path(folder))) for n in (1, *BATCHES)}
        for n in BATCHES:
            pictures = np.random.default_rng(n).standard_normal((n, 3, *configured.input_hw), np.float32)
            timings = measure({"runs": _one_by_one(sessions[1], pictures), "batch": _together(sessions[n], pictures)}, rounds, warm_up=3)
            found[str(n)] = {
                "ms_a_picture": {way: round(timing.median_s * 1e3 / n, 2) for way, timing in timings.items()},
                "runs_over_batch": ratio(timings["runs"], timings["batch"]),
            }
    return found


def _open(net: nn.Module, size_hw: tuple[int, int], n: int, backend: str, folder: Path) -> Session:
    file = folder / f"batch{n}.onnx"
    graph = to_onnx(net, {IMAGE: torch.zeros(n, 3, *size_hw)}, ("sums",), file)
    return BACKENDS[backend].open(file, graph, "fp32", None)


def _one_by_one(session: Session, pictures: F32Array) -> Contender:
    def work() -> Mapping[str, float]:
        for number in range(len(pictures)):
            session.run({IMAGE: pictures[number : number + 1]})
        return {}

    return work


def _together(session: Session, pictures: F32Array) -> Contender:
    def work() -> Mapping[str, float]:
        session.run({IMAGE: pictures})
        return {}

    return work


if __name__ == "__main__":
    raise SystemExit(main())
