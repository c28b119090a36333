"""What each part of a Mask R-CNN graph takes: the graph is cut off after one part after the other, and the cut graphs take turns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.backends import BACKENDS, Session
from edgeseg.bundle import Graph
from edgeseg.families.base import IMAGE
from export.nets.rcnn.graph import RcnnGraph
from export.to_onnx import to_onnx

from .paired import Contender, Timing, measure

PARTS = ("trunk and FPN", "RPN head", "proposals", "RoIAlign 7x7", "box head", "detections", "RoIAlign 14x14", "mask head")


class CutGraph(nn.Module):
    """A graph up to and with one of `PARTS`, which returns one number made from all that the part gives: no output has to be copied."""

    def __init__(self, graph: RcnnGraph, last: str) -> None:
        super().__init__()
        self.whole = graph
        self.last = last

    def forward(self, image: Tensor) -> tuple[Tensor]:
        """(1, h, w, 3) BGR -> (1,)."""
        given = next(tensors for part, tensors in parts_of(self.whole, image) if part == self.last)
        return (torch.stack([tensor.float().mean() for tensor in given]).sum(dim=0, keepdim=True),)


def parts_of(graph: RcnnGraph, image: Tensor) -> Iterator[tuple[str, tuple[Tensor, ...]]]:
    """`RcnnGraph.forward` step by step: each part's name and what it gives."""
    net = graph.net
    levels = net.features(F.pad(graph.normalise(image), graph.padding))
    yield PARTS[0], levels
    proposed = net.propose(levels)
    yield PARTS[1], tuple(tensor for level in proposed for tensor in level)
    proposals = graph.proposals(proposed)
    yield PARTS[2], tuple(proposals)
    box_features = graph.box_pooler(levels[:-1], proposals.boxes)
    yield PARTS[3], (box_features,)
    logits, offsets = net.roi_heads.boxes(box_features)
    yield PARTS[4], (logits, offsets)
    found = graph.detections(proposals, logits, offsets)
    yield PARTS[5], tuple(found)
    yield PARTS[6], (graph.of_detections(found, lambda boxes, _: graph.mask_pooler(levels[:-1], boxes)),)
    yield PARTS[7], (*found, graph.of_detections(found, lambda boxes, classes: graph.masks(levels[:-1], boxes, classes)))


def write_parts(graph: RcnnGraph, image: Tensor, folder: Path) -> dict[str, tuple[Path, Graph]]:
    """Trace the graph cut off after each part."""
    files = {part: folder / f"part{number}.onnx" for number, part in enumerate(PARTS)}
    return {part: (file, to_onnx(CutGraph(graph, part).eval(), {IMAGE: image}, ("sum",), file)) for part, file in files.items()}


def measure_parts(graphs: Mapping[str, tuple[Path, Graph]], backend: str, image: np.ndarray, rounds: int, warm_up: int) -> dict[str, Any]:
    """Time the cut graphs in turns.

    Returns:
        For the record: each part's share of the whole and its milliseconds, from the differences between one cut and the next
        round by round, and all durations.
    """
    with ExitStack() as stack:
        contenders: dict[str, Contender] = {}
        for part, (file, graph) in graphs.items():
            contenders[part] = _runs(stack.enter_context(BACKENDS[backend].open(file, graph, "fp32", None)), image)
        timings = measure(contenders, rounds, warm_up)
    return {"parts": _differences(timings), "cut_after": {part: timing.to_json() for part, timing in timings.items()}}


def _runs(session: Session, image: np.ndarray) -> Contender:
    def work() -> Mapping[str, float]:
        session.run({IMAGE: image})
        return {}

    return work


def _differences(timings: Mapping[str, Timing]) -> dict[str, dict[str, float]]:
    until_s = np.array([timing.values_s for timing in timings.values()])
    parts_s = np.diff(until_s, axis=0, prepend=0)
    shares = np.median(parts_s / until_s[-1], axis=1)
    return {
        part: {"share": round(float(share), 3), "ms": round(float(np.median(part_s)) * 1e3, 1)}
        for part, share, part_s in zip(timings, shares, parts_s, strict=True)
    }
