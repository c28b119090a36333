"""Is the exported graph the network it came from? Both run on real pictures and their results are matched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgeseg.backends import BACKENDS
from edgeseg.bundle import Graph, InputSpec
from edgeseg.errors import ExportError
from edgeseg.families import family
from edgeseg.families.base import IMAGE, KEY
from edgeseg.sources.folder import FolderSource
from edgeseg.types import AnyArray, Instances, U8Array

from .recipes.base import GraphModule

PICTURES = Path(__file__).parent / "pictures"
BACKEND = "onnxruntime"
SCORE_COMPARED = 0.05
"""Instances below are noise that no user sees."""
SCORE_TOLERANCE = 1e-3
MASK_IOU_MIN = 0.99
DENSE_TOLERANCE = 1e-3
"""Largest difference of a dense output, in units of its standard deviation."""
NEAR_TIES = 0.02
"""Fraction of instances that may differ because a score or an IoU lies on its threshold; at least one may."""
_VIEW_STEP = 24
"""Two views of one picture are this fraction of its height and width apart."""


@dataclass
class Parity:
    """What the comparison of one graph found."""

    pictures: int = 0
    """Pictures, or pairs of them for a graph to which another one carries tensors."""
    instances: int = 0
    unmatched: int = 0
    """Instances that only one side has."""
    max_score_error: float = 0.0
    min_mask_iou: float = 1.0
    dense_error: dict[str, float] = field(default_factory=dict)
    """Output -> largest difference over standard deviation."""

    def to_json(self) -> dict[str, Any]:
        """For the manifest."""
        return {"backend": f"{BACKEND} {BACKENDS[BACKEND].probe().version}", **vars(self)}

    def require(self) -> None:
        """Raise ExportError unless the graph is the network, up to float32 rounding."""
        off = {name: error for name, error in self.dense_error.items() if not error <= DENSE_TOLERANCE}
        if off:
            raise ExportError(
                f"the exported graph does not match the network: outputs differ by {off} standard deviations. Nothing was written."
            )
        allowed = max(1, int(NEAR_TIES * self.instances)) if self.instances else 0
        if self.unmatched > allowed:
            raise ExportError(
                f"the exported graph does not match the network: {self.unmatched} of {self.instances} instances "
                f"on {self.pictures} pictures have no counterpart of the same class, score and mask. Nothing was written."
            )


def compare(name: str, traced: GraphModule, graph: Graph, file: Path, spec: InputSpec, feeds: Iterable[Mapping[str, AnyArray]]) -> Parity:
    """Run module and file on the same feeds and match what they find.

    Args:
        name: the runtime family.
        traced: the module that was exported.
        graph: what the exporter says of the file.
        file: the ONNX file.
        spec: the bundle's input.
        feeds: input name -> array, once for each run.
    """
    parity = Parity()
    # At network size, so that the pictures' own size plays no part.
    fit = spec.place(spec.size)
    with BACKENDS[BACKEND].open(file, graph, "fp32", None) as session:
        for given in feeds:
            wanted, found = _run_module(traced, given), session.run(given)
            for output in traced.dense:
                parity.dense_error[output] = max(parity.dense_error.get(output, 0.0), _dense_error(wanted[output], found[output]))
            instances = [family(name).decode(outputs, fit, SCORE_COMPARED).instances for outputs in (wanted, found)]
            parity.pictures += 1
            if instances[0] is not None and instances[1] is not None:
                _match(instances[0], instances[1], parity)
    return parity


def feeds_for(name: str, modules: Mapping[str, GraphModule], spec: InputSpec, pictures: Iterable[U8Array]) -> Iterator[dict[str, AnyArray]]:
    """What graph ``name`` is run on: pictures, uint8 (H, W, 3) BGR; or views of them, with what the key graph carries from another view.

    The views are those of a camera that has turned a little. Both sides get the tensors that the key module, not its graph, gives.
    """
    for picture in pictures:
        if name == KEY:
            yield {IMAGE: _prepared(picture, spec)}
            continue
        before, after = _views(picture)
        key = modules[KEY]
        given = _run_module(key, {IMAGE: _prepared(before, spec)})
        yield {IMAGE: _prepared(after, spec)} | {target: given[output] for target, output in key.carry.items()}


def _views(picture: U8Array) -> tuple[U8Array, U8Array]:
    """Two crops of a picture, a few percent of its size apart."""
    height, width = picture.shape[:2]
    dy, dx = height // _VIEW_STEP, width // _VIEW_STEP
    return picture[: height - dy, : width - dx], picture[dy:, dx:]


def _prepared(picture: U8Array, spec: InputSpec) -> AnyArray:
    """A picture of any shape as input: stretched, even where the bundle refuses frames of other shapes than its own."""
    return replace(spec, fit="stretch").place((picture.shape[0], picture.shape[1])).apply(picture, spec.dtype)


def check_pictures(folder: Path | None) -> FolderSource:
    """The pictures that a graph is compared on, read one at a time: those of ``folder``, or the two that ship with the exporter."""
    return FolderSource(str(folder or PICTURES))


def _run_module(traced: GraphModule, feeds: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    with torch.inference_mode():
        outputs = traced.module(*(torch.from_numpy(feeds[name]) for name in traced.inputs))
    return {name: tensor.numpy() for name, tensor in zip(traced.outputs, outputs, strict=True)}


def _dense_error(wanted: AnyArray, found: AnyArray) -> float:
    if not (np.isfinite(wanted).all() and np.isfinite(found).all()):
        return float("inf")
    return float(np.abs(wanted - found).max() / max(float(wanted.std()), 1e-12))


def _match(wanted: Instances, found: Instances, parity: Parity) -> None:
    free = set(range(len(found)))
    # An instance whose score lies on the threshold may be on one side only.
    edge = SCORE_COMPARED + SCORE_TOLERANCE
    parity.instances += int((wanted.scores > edge).sum())
    masks = {k: found.masks.paste(k) for k in free}
    for i in range(len(wanted)):
        mask = wanted.masks.paste(i)
        alike = [k for k in free if found.classes[k] == wanted.classes[i] and abs(found.scores[k] - wanted.scores[i]) <= SCORE_TOLERANCE]
        ious = {k: _mask_iou(mask, masks[k]) for k in alike}
        best = max(ious, key=lambda k: ious[k], default=None)
        if best is None or ious[best] < MASK_IOU_MIN:
            parity.unmatched += int(wanted.scores[i] > edge)
            continue
        free.remove(best)
        parity.max_score_error = max(parity.max_score_error, float(abs(found.scores[best] - wanted.scores[i])))
        parity.min_mask_iou = min(parity.min_mask_iou, ious[best])
    parity.unmatched += sum(bool(found.scores[k] > edge) for k in free)


def _mask_iou(a: AnyArray, b: AnyArray) -> float:
    union = np.logical_or(a, b).sum()
    return float(np.logical_and(a, b).sum() / union) if union else 1.0
