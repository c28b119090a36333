"""Is the exported graph the network it came from? Both run on real pictures and their results are matched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from edgeseg.backends import BACKENDS
from edgeseg.bundle import Bundle, InputSpec
from edgeseg.errors import ExportError
from edgeseg.evaluation.agreement import WEAK, Agreement, mask_ious
from edgeseg.families import family
from edgeseg.families.base import IMAGE, KEY
from edgeseg.types import AnyArray, Instances, U8Array

from .forms import prepared, views
from .measure import dense_error, dense_outputs
from .recipes.base import GraphModule

BACKEND = "onnxruntime"
SCORE_COMPARED = 0.05
"""Instances below are noise that no user sees."""
SCORE_TOLERANCE = 1e-3
MASK_IOU_MIN = 0.99
DENSE_TOLERANCE = 1e-3
"""Largest difference of a dense output, in units of its standard deviation."""
NEAR_TIES = 0.02
"""Fraction of instances that may differ because a score or an IoU lies on its threshold; at least one may."""


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
    agreement: Agreement = field(default_factory=lambda: Agreement(SCORE_COMPARED))
    """For the ledger."""

    def to_json(self) -> dict[str, Any]:
        """For the manifest."""
        own = {name: value for name, value in asdict(self).items() if name != "agreement"}
        return {"backend": f"{BACKEND} {BACKENDS[BACKEND].probe().version}", **own}

    def match(self, wanted: Instances, found: Instances) -> None:
        """Compare what the network and the graph found in one picture; both hold what scores above `SCORE_COMPARED`."""
        free = set(range(len(found)))
        # An instance whose score lies on the threshold may be on one side only.
        edge = SCORE_COMPARED + SCORE_TOLERANCE
        self.instances += int((wanted.scores > edge).sum())
        ious = mask_ious(wanted, found)
        for i in range(len(wanted)):
            alike = [k for k in free if ious[i, k] >= MASK_IOU_MIN and abs(found.scores[k] - wanted.scores[i]) <= SCORE_TOLERANCE]
            if not alike:
                self.unmatched += int(wanted.scores[i] > edge)
                continue
            best = max(alike, key=lambda k: float(ious[i, k]))
            free.remove(best)
            self.max_score_error = max(self.max_score_error, float(abs(found.scores[best] - wanted.scores[i])))
            self.min_mask_iou = min(self.min_mask_iou, float(ious[i, best]))
        self.unmatched += sum(bool(found.scores[k] > edge) for k in free)

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


def compare(bundle: Bundle, name: str, traced: GraphModule, feeds: Iterable[Mapping[str, AnyArray]]) -> Parity:
    """Run module and file on the same feeds and match what they find.

    Args:
        bundle: says how outputs are decoded, and where the files lie.
        name: of the graph.
        traced: the module that was exported.
        feeds: input name -> array, once for each run.
    """
    parity = Parity()
    decoder = family(bundle.family).configured(bundle)
    # At network size, so that the pictures' own size plays no part.
    fit = bundle.input.place(bundle.input.size)
    with BACKENDS[BACKEND].open(bundle.file(name, "fp32"), bundle.graphs[name], "fp32", None) as session:
        for given in feeds:
            wanted, found = _run_module(traced, given), session.run(given)
            for output in dense_outputs(bundle.family, traced.carry):
                parity.dense_error[output] = max(parity.dense_error.get(output, 0.0), dense_error(wanted[output], found[output]))
            parity.pictures += 1
            for limit, take in ((SCORE_COMPARED, parity.match), (SCORE_COMPARED * WEAK, parity.agreement.add)):
                instances = [decoder.decode(outputs, fit, limit).instances for outputs in (wanted, found)]
                if instances[0] is not None and instances[1] is not None:
                    take(instances[0], instances[1])
    return parity


def feeds_for(name: str, modules: Mapping[str, GraphModule], spec: InputSpec, pictures: Iterable[U8Array]) -> Iterator[dict[str, AnyArray]]:
    """What graph ``name`` is run on: pictures, uint8 (H, W, 3) BGR; or views of them, with what the key graph carries from another view.

    The views are those of a camera that has turned a little. Both sides get the tensors that the key module, not its graph, gives.
    """
    for picture in pictures:
        if name == KEY:
            yield {IMAGE: prepared(picture, spec)}
            continue
        before, after = views(picture)
        key = modules[KEY]
        given = _run_module(key, {IMAGE: prepared(before, spec)})
        yield {IMAGE: prepared(after, spec)} | {target: given[output] for target, output in key.carry.items()}


def _run_module(traced: GraphModule, feeds: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    with torch.inference_mode():
        outputs = traced.module(*(torch.from_numpy(feeds[name]) for name in traced.inputs))
    return {name: tensor.numpy() for name, tensor in zip(traced.outputs, outputs, strict=True)}
