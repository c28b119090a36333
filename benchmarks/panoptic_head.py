"""What the panoptic head takes on the host, part by part, and what its dense part would take inside the graph.

python -m benchmarks.panoptic_head --out benchmarks/results/panoptic_head.json

The pictures are made up: regions of classes with noise on the logits, and elliptic objects on them. The dense part, which a graph could
do instead, makes all logits four times larger and finds the best stuff and the best thing of every pixel.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.backends import BACKENDS
from edgeseg.bundle import Bundle, InputSpec
from edgeseg.families.panoptic import BOXES, CLASSES, MASK_LOGITS, SCORES, SEMANTIC, STUFF_AREA_LIMIT, VOID, PanopticFamily
from edgeseg.geometry import Fit
from edgeseg.opencv import opencv
from edgeseg.ops.panoptic import Detections, panoptic_head, vote
from edgeseg.ops.panoptic.removal import kept_slots
from edgeseg.regions import things_of
from edgeseg.types import AnyArray, F32Array, Label, SizeHW
from export.to_onnx import to_onnx

from .conditions import conditions
from .paired import Contender, measure


@dataclass(frozen=True)
class Setup:
    """One model's sizes."""

    name: str
    size_hw: SizeHW
    stuff: int
    things: int
    objects: int
    void: bool


SETUPS = (
    Setup("Cityscapes 256x512", (256, 512), 11, 8, 12, void=True),
    Setup("Cityscapes 1024x2048", (1024, 2048), 11, 8, 30, void=True),
    Setup("Cityscapes 1024x2048, no unknown class", (1024, 2048), 11, 8, 30, void=False),
    Setup("COCO 800x1333", (800, 1333), 53, 80, 15, void=True),
)


class Dense(nn.Module):
    """The dense part of the head as a graph would hold it."""

    def __init__(self, stuff: int) -> None:
        super().__init__()
        self.stuff = stuff

    def forward(self, semantic: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(C, h, w) -> the best stuff logit and its class, and the same of things, each (4h, 4w)."""
        large = F.interpolate(semantic[None], scale_factor=4.0, mode="bilinear", align_corners=False)[0]
        stuff, things = large[: self.stuff], large[self.stuff :]
        return stuff.amax(0), stuff.argmax(0).int(), things.amax(0), things.argmax(0).int()


def outputs_of(setup: Setup, seed: int = 0) -> dict[str, AnyArray]:
    """What a graph could give: float32 and int64 arrays by the names of the family."""
    random = np.random.default_rng(seed)
    height, width = (-(-side // 32) * 32 for side in setup.size_hw)
    size = random.uniform(0.05, 0.25, (setup.objects, 2)) * height
    low = random.uniform(0, 1, (setup.objects, 2)) * ((width, height) - size)
    y, x = np.mgrid[-1:1:28j, -1:1:28j]
    ellipse = (9 * (0.9 - x**2 - y**2)).astype(np.float32)
    boxes, classes = np.concatenate([low, low + size - 1], axis=1).astype(np.float32), random.integers(0, setup.things, setup.objects)
    return {
        BOXES: boxes,
        SCORES: np.linspace(0.99, 0.61, setup.objects, dtype=np.float32),
        CLASSES: classes + setup.stuff,
        MASK_LOGITS: np.repeat(ellipse[None], setup.objects, axis=0),
        SEMANTIC: _semantic(setup, random, boxes, (height // 4, width // 4)),
    }


def _semantic(setup: Setup, random: np.random.Generator, boxes: F32Array, cells_hw: SizeHW) -> F32Array:
    """Regions of the nearest of some points, with soft borders and noise; and a thing class on each object."""
    cv2 = opencv()
    points = random.uniform(0, 1, (25, 2)) * cells_hw
    row, column = np.mgrid[: cells_hw[0], : cells_hw[1]]
    nearest = ((row[..., None] - points[:, 0]) ** 2 + (column[..., None] - points[:, 1]) ** 2).argmin(axis=-1)
    labels = random.integers(0, setup.stuff, 25)[nearest]
    for box in boxes:
        x1, y1, x2, y2 = (box / 4).astype(int).tolist()
        middle, axes = ((x1 + x2) // 2, (y1 + y2) // 2), (max((x2 - x1) // 2, 1), max((y2 - y1) // 2, 1))
        shape = cv2.ellipse(np.zeros(cells_hw, np.uint8), middle, axes, 0, 0, 360, 1, -1)
        labels[shape > 0] = setup.stuff + int(random.integers(0, setup.things))
    channels = setup.stuff + setup.things
    logits = random.normal(0, 1, (channels, *cells_hw)).astype(np.float32)
    return np.stack([cv2.blur(plane + np.float32(10) * (labels == k), (5, 5)) for k, plane in enumerate(logits)])


def family_of(setup: Setup) -> PanopticFamily:
    """The family with the setup's labels."""
    labels = tuple(Label(str(k), k, k >= setup.stuff) for k in range(setup.stuff + setup.things))
    settings = {VOID: setup.void, STUFF_AREA_LIMIT: 2048}
    return PanopticFamily().configured(Bundle("panoptic", "made up", labels, InputSpec(setup.size_hw), {}, {}, settings=settings))


def contenders_of(setup: Setup, outputs: dict[str, AnyArray]) -> dict[str, Contender]:
    """The whole of decoding on the host, and its parts alone."""
    semantic, family, fit = outputs[SEMANTIC], family_of(setup), Fit.same_shape(setup.size_hw, setup.size_hw)
    padded = semantic.shape[1] * 4, semantic.shape[2] * 4
    given = Detections(outputs[BOXES], outputs[SCORES], outputs[CLASSES] - setup.stuff + 1, outputs[MASK_LOGITS])
    none = Detections(given.boxes[:0], given.scores[:0], given.classes[:0], given.mask_logits[:0])
    found = panoptic_head(semantic, setup.stuff, given, setup.void, setup.size_hw)
    panoptic = family.decode(outputs, fit, 0.0).panoptic
    assert panoptic is not None  # noqa: S101 - for the type checker
    work = {
        "decode": lambda: family.decode(outputs, fit, 0.0),
        "mask removal": lambda: kept_slots(given, padded),
        "head": lambda: panoptic_head(semantic, setup.stuff, given, setup.void, setup.size_hw),
        "head without detections": lambda: panoptic_head(semantic, setup.stuff, none, setup.void, setup.size_hw),
        "vote": lambda: vote(found, setup.stuff, len(semantic)),
        "instances of the map": lambda: things_of(panoptic),
    }
    return {name: _contender(call) for name, call in work.items()}


def _contender(call: Any) -> Contender:
    def work() -> dict[str, float]:
        call()
        return {}

    return work


def record_of(setup: Setup, backends: tuple[str, ...], rounds: int) -> dict[str, Any]:
    """All timings of one setup, in turns."""
    outputs = outputs_of(setup)
    contenders = contenders_of(setup, outputs)
    semantic = outputs[SEMANTIC]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        file = Path(folder) / "dense.onnx"
        names = ("stuff", "stuff_class", "thing", "thing_class")
        graph = to_onnx(Dense(setup.stuff).eval(), {SEMANTIC: torch.from_numpy(semantic)}, names, file)
        for name in backends:
            session = stack.enter_context(BACKENDS[name].open(file, graph, "fp32", None))
            contenders[f"dense part in {name}"] = _contender(lambda session=session: session.run({SEMANTIC: semantic}))
        timings = measure(contenders, rounds, 1)
    return {name: timing.to_json() for name, timing in timings.items()}


def main() -> int:
    """Measure, print a table, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="counted rounds (default: %(default)s)")
    parser.add_argument("--only", help="only setups whose name holds this")
    parser.add_argument("--out", type=Path, help="record to write, .json")
    args = parser.parse_args()
    record: dict[str, Any] = {"before": conditions(), "setups": {}}
    for setup in SETUPS:
        if args.only and args.only not in setup.name:
            continue
        timings = record["setups"][setup.name] = record_of(setup, ("onnxruntime", "openvino"), args.rounds)
        print(setup.name)
        for name, timing in timings.items():
            print(f"  {name:28} median {timing['median_ms']:8.1f} ms  min {timing['min_ms']:8.1f} ms")
    record["after"] = conditions()
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
