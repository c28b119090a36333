"""Measures how near one form of a bundle comes to another: an entry of the ledger for each graph."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from edgeseg.bundle import Bundle
from edgeseg.evaluation import MaskApMeter, coded
from edgeseg.evaluation.agreement import LEAST_SCORE, Agreement, Agreements
from edgeseg.families import Decoded, family
from edgeseg.families.base import KEY
from edgeseg.ledger import Entry
from edgeseg.sources.synthetic import are_of_scenes
from edgeseg.types import AnyArray, Result, Step, U8Array

from .forms import Run, placed
from .samples import COMPARED_COUNT, Sample, Samples

AP_SCORE = 0.05
"""Average precision is defined over weak detections too."""


class Runs(Protocol):
    """Something that runs a bundle's graphs on a picture: `forms.Form`, or the network itself."""

    def runs(self, picture: U8Array) -> Iterator[Run]:
        """Every graph once."""
        ...


@dataclass(frozen=True)
class Compared:
    """What is compared with what, and by whom."""

    precision: str
    against: str
    backend: str


@dataclass
class _Graph:
    """What is collected of one graph."""

    agreements: Agreements = field(default_factory=Agreements)
    tensor_error: dict[str, float] = field(default_factory=dict)
    meters: tuple[MaskApMeter, MaskApMeter] | None = None
    """Of the reference and of the other."""


class Comparison:
    """Compares forms of one bundle with each other on the same pictures."""

    def __init__(self, bundle: Bundle, samples: Samples, on_picture: Callable[[], None] = lambda: None) -> None:
        self._bundle = bundle
        self._samples = samples
        self._on_picture = on_picture
        self._family = family(bundle.family).configured(bundle)

    def entries(self, reference: Runs, other: Runs, compared: Compared) -> dict[str, Entry]:
        """Graph -> what was measured.

        Raises:
            BackendError: a graph failed.
        """
        found: dict[str, _Graph] = {}
        for number, sample in enumerate(self._samples):
            # Average precision, which the key graph alone has, needs many pictures; the rest does not.
            graphs = None if number < COMPARED_COUNT else 1
            if graphs and KEY not in found:
                break
            for wanted, given in itertools.islice(zip(reference.runs(sample.pixels), other.runs(sample.pixels), strict=True), graphs):
                self._add(found.setdefault(given.graph, _Graph()), sample, wanted, given)
            self._on_picture()
        return {name: self._entry(name, graph, compared) for name, graph in found.items()}

    def _add(self, graph: _Graph, sample: Sample, wanted: Run, given: Run) -> None:
        for name in dense_outputs(self._bundle.family, self._bundle.graphs[given.graph].carry):
            error = dense_error(wanted.outputs[name], given.outputs[name])
            graph.tensor_error[name] = max(graph.tensor_error.get(name, 0.0), error)
        both = [self._decoded(run.outputs).instances for run in (wanted, given)]
        if both[0] is not None and both[1] is not None:
            graph.agreements.add(both[0], both[1])
        if sample.truth is not None and given.graph == KEY and self._knows(sample):
            graph.meters = graph.meters or (MaskApMeter(self._bundle.labels), MaskApMeter(self._bundle.labels))
            truth = coded(sample.truth)
            for meter, run in zip(graph.meters, (wanted, given), strict=True):
                meter.add(self._result(run.outputs, sample), truth)

    def _knows(self, sample: Sample) -> bool:
        """Whether the truth has the model's classes: with others than those of a scene, AP would compare nothing with nothing."""
        return not sample.is_scene or are_of_scenes(self._bundle.labels)

    def _decoded(self, outputs: Mapping[str, AnyArray]) -> Decoded:
        # At network size, so that the pictures' own size plays no part.
        spec = self._bundle.input
        return self._family.decode(outputs, spec.place(spec.size), LEAST_SCORE)

    def _result(self, outputs: Mapping[str, AnyArray], sample: Sample) -> Result:
        fit = placed(sample.pixels, self._bundle.input)
        decoded = self._family.decode(outputs, fit, AP_SCORE)
        return Result(0, Step.KEY, self._bundle.labels, fit.image_hw, instances=decoded.instances)

    def _entry(self, name: str, graph: _Graph, compared: Compared) -> Entry:
        found = entry(self._bundle, name, compared, graph.agreements.shown, graph.tensor_error)
        if graph.meters is None:
            return found
        reference_ap, ap = (meter.compute().ap for meter in graph.meters)
        # AP is no number where nothing is to be found.
        return found if math.isnan(reference_ap) else replace(found, reference_ap=reference_ap, ap=ap)


def entry(bundle: Bundle, name: str, compared: Compared, agreement: Agreement, tensor_error: Mapping[str, float]) -> Entry:
    """The ledger's line of one graph, without AP."""
    files = bundle.graphs[name].files
    return Entry(
        **vars(compared),
        graph=name,
        sha256=bundle.hashes[files.get(compared.precision, files["fp32"])],
        tensor_error=dict(tensor_error),
        **agreement.numbers(),
    )


def dense_outputs(family_name: str, carry: Mapping[str, str]) -> tuple[str, ...]:
    """The outputs of a graph that are maps: those of its family, and what it carries to a later graph."""
    return (*family(family_name).dense, *carry.values())


def dense_error(wanted: AnyArray, found: AnyArray) -> float:
    """Largest difference in units of the reference's standard deviation; infinite where something is not finite."""
    if not (np.isfinite(wanted).all() and np.isfinite(found).all()):
        return float("inf")
    difference = np.subtract(wanted, found, dtype=np.float32)
    return float(np.abs(difference).max() / max(float(wanted.std()), 1e-12))
