"""The comparison of two forms of a bundle, on outputs that are made up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from edgeseg.bundle import Bundle, read_bundle
from edgeseg.evaluation.agreement import SCORES
from edgeseg.families import yolact
from edgeseg.families.base import KEY, WARP
from edgeseg.sources.synthetic import LABELS
from edgeseg.types import AnyArray, GroundTruth, Label, U8Array
from export.forms import Run
from export.measure import AP_SCORE, Compared, Comparison, dense_error
from export.samples import Sample, Samples
from tests.bundles import OUTPUTS, STATE, Found, tiny_bundle

SIZE = 64
COMPARED = Compared("int8", "fp32", "onnxruntime 1.2.3")
BOXES = ((0.0, 0.0, 7.0, 7.0), (8.0, 0.0, 15.0, 7.0), (0.0, 8.0, 7.0, 15.0), (8.0, 8.0, 15.0, 15.0))
PICTURE = np.zeros((SIZE, SIZE, 3), np.uint8)


@dataclass
class _Form:
    """Gives the same for every picture, and counts."""

    outputs: dict[str, AnyArray]
    graphs: tuple[str, ...] = (KEY,)
    ran: list[str] = field(default_factory=list)

    def runs(self, _: U8Array) -> Iterator[Run]:
        for graph in self.graphs:
            self.ran.append(graph)
            yield Run(graph, self.outputs)


def _outputs(*scores: float, **changes: AnyArray) -> dict[str, AnyArray]:
    found = [Found(0, score, box) for score, box in zip(scores, BOXES, strict=False)]
    return OUTPUTS[yolact.NAME](found, SIZE) | {STATE: np.full(1, 7, np.float32)} | changes


def _samples(count: int, truth: GroundTruth | None = None, is_scene: bool = True) -> Samples:
    return Samples("made up", count, lambda: iter([Sample(PICTURE, truth, is_scene)] * count))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A YOLACT bundle with both graphs."""
    return read_bundle(tiny_bundle(tmp_path / "b", warp=True))


def test_an_entry_says_what_was_compared_and_how_it_went(bundle: Bundle) -> None:
    """With the hash of the file that was measured; bf16 and the like run the float32 file."""
    wanted, given = _Form(_outputs(0.9, 0.8, 0.7)), _Form(_outputs(0.85, 0.7))

    entry = Comparison(bundle, _samples(8)).entries(wanted, given, COMPARED)[KEY]

    assert (entry.precision, entry.graph, entry.against, entry.backend) == ("int8", KEY, "fp32", "onnxruntime 1.2.3")
    assert entry.sha256 == bundle.hashes["key.onnx"]
    assert (entry.pictures, entry.instances, entry.lost, entry.extra, entry.score) == (8, 24, 8, 0, 0.3)
    assert entry.max_score_error == pytest.approx(0.1, abs=1e-6)
    assert entry.mean_score_error == pytest.approx(0.075, abs=1e-6)
    assert (entry.mean_mask_iou, entry.ap, entry.reference_ap) == (1.0, None, None)
    assert entry.tensor_error == {"prototypes": 0.0, STATE: 0.0}
    assert not entry.accepted


@pytest.mark.parametrize(("pictures", "score", "instances"), [(8, 0.3, 16), (7, 0.05, 28)])
def test_weak_instances_count_where_there_are_too_few_strong_ones(bundle: Bundle, pictures: int, score: float, instances: int) -> None:
    """Sixteen that users see are enough."""
    form = _Form(_outputs(0.9, 0.8, 0.2, 0.1))

    entry = Comparison(bundle, _samples(pictures)).entries(form, form, COMPARED)[KEY]

    assert (entry.score, entry.instances) == (score, instances)
    assert score in SCORES


def test_the_largest_error_of_dense_and_carried_outputs_is_kept(bundle: Bundle) -> None:
    """In standard deviations of the reference; outputs with rows, whose order may change, are left out."""
    noisy = _outputs(0.9)["prototypes"].copy()
    noisy[0, 0, 0] += 0.5
    scale = float(_outputs(0.9)["prototypes"].std())

    found = Comparison(bundle, _samples(2)).entries(_Form(_outputs(0.9)), _Form(_outputs(0.9, prototypes=noisy)), COMPARED)

    assert found[KEY].tensor_error == {"prototypes": pytest.approx(0.5 / scale, rel=1e-5), STATE: 0.0}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_infinitely_wrong(value: float) -> None:
    """On either side."""
    good, bad = np.float32([1, 2, 3]), np.float32([1, value, 3])

    assert dense_error(good, good) == 0
    assert dense_error(good, bad) == dense_error(bad, good) == np.inf
    assert dense_error(np.float32([1, 3]), np.float32([1, 4])) == 1
    assert dense_error(np.float32([2, 2]), np.float32([2, 2])) == 0


def test_an_output_of_nan_is_over_any_budget(bundle: Bundle) -> None:
    """Although no instance shows it."""
    broken = _outputs(0.9)["prototypes"].copy()
    broken[-1, -1, -1] = np.nan

    entry = Comparison(bundle, _samples(1)).entries(_Form(_outputs(0.9)), _Form(_outputs(0.9, prototypes=broken)), COMPARED)[KEY]

    assert entry.over() == ("output prototypes holds infinite values or NaN",)


def _of_scenes(bundle: Bundle) -> Bundle:
    return replace(bundle, labels=tuple(label for label in LABELS if label.is_thing))


def _truth(count: int) -> GroundTruth:
    """The first instances exactly as the graph masks them: a prototype cell, 4 pixels, beyond the box."""
    masks = []
    for x1, y1, x2, y2 in BOXES[:count]:
        mask = np.zeros((SIZE, SIZE), bool)
        mask[int(max(y1 * 4 - 4, 0)) : int(y2 * 4 + 4), int(max(x1 * 4 - 4, 0)) : int(x2 * 4 + 4)] = True
        masks.append(mask)
    return GroundTruth(np.zeros(count, np.int64), tuple(masks), np.zeros(count, bool), (SIZE, SIZE))


def test_average_precision_is_measured_where_there_is_truth(bundle: Bundle) -> None:
    """Of both sides; over instances as weak as AP_SCORE; for the key graph only."""
    graphs = (KEY, WARP)
    wanted, given = _Form(_outputs(0.9, 0.8), graphs), _Form(_outputs(0.9, AP_SCORE * 0.9), graphs)

    found = Comparison(_of_scenes(bundle), _samples(2, _truth(2))).entries(wanted, given, COMPARED)

    assert found[KEY].reference_ap == pytest.approx(1.0)
    assert found[KEY].ap == pytest.approx(0.505, abs=0.01)
    assert "AP falls by" in found[KEY].over()[0]
    assert (found[WARP].ap, found[WARP].reference_ap) == (None, None)


@pytest.mark.parametrize("labels", [1, 2, 80])
def test_truth_means_nothing_to_a_model_of_other_classes(bundle: Bundle, labels: int) -> None:
    """AP of nothing against nothing would pass every loss, so agreement decides there."""
    other = replace(bundle, labels=tuple(Label(f"thing {k}", k + 1) for k in range(labels)))

    entry = Comparison(other, _samples(2, _truth(4))).entries(_Form(_outputs(0.9, 0.8)), _Form(_outputs()), COMPARED)[KEY]

    assert entry.ap is None
    assert entry.over() != ()


def test_truth_of_a_data_set_has_the_models_own_classes(bundle: Bundle) -> None:
    """Which need not be those of made-up scenes."""
    entry = Comparison(bundle, _samples(2, _truth(2), is_scene=False)).entries(_Form(_outputs(0.9, 0.8)), _Form(_outputs()), COMPARED)[KEY]

    assert entry.reference_ap is not None


def test_scenes_in_which_nothing_is_to_be_found_have_no_ap(bundle: Bundle) -> None:
    """It would be no number."""
    form = _Form(_outputs(0.9))

    assert Comparison(_of_scenes(bundle), _samples(1, _truth(0))).entries(form, form, COMPARED)[KEY].ap is None


def test_the_light_graph_is_compared_on_sixteen_pictures_at_most(bundle: Bundle) -> None:
    """Only AP, which the key graph has, needs more; every picture that was looked at is told."""
    both, light = _Form(_outputs(0.9), (KEY, WARP)), _Form(_outputs(0.9), (WARP,))
    told: list[None] = []
    comparison = Comparison(bundle, _samples(20), lambda: told.append(None))

    found = comparison.entries(both, both, COMPARED)
    assert {name: entry.pictures for name, entry in found.items()} == {KEY: 20, WARP: 16}
    assert len(told) == 20

    assert comparison.entries(light, light, COMPARED)[WARP].pictures == 16
    assert light.ran.count(WARP) == 2 * 16
