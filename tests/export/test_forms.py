"""A bundle's graphs in one precision, run on pictures of any shape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeseg.bundle import InputSpec, read_bundle
from edgeseg.errors import BundleError
from edgeseg.families.base import IMAGE, KEY, WARP
from export.forms import Form, placed, prepared, views
from tests.bundles import tiny_bundle

PICTURE = np.random.default_rng(0).integers(0, 256, (96, 120, 3), dtype=np.uint8)


def test_two_views_of_a_picture_differ_by_a_small_turn() -> None:
    """Both of one size, a twenty-fourth of the picture apart along both axes."""
    before, after = views(PICTURE)

    assert before.shape == after.shape == (92, 115, 3)
    np.testing.assert_array_equal(before[4:, 5:], after[:-4, :-5])
    np.testing.assert_array_equal(after[-1, -1], PICTURE[-1, -1])


@pytest.mark.parametrize(("fit", "taken"), [("stretch", "stretch"), ("letterbox", "letterbox"), ("same_shape", "stretch")])
def test_a_picture_of_any_shape_is_laid_into_the_input(fit: str, taken: str) -> None:
    """As the bundle says; stretched where the bundle would refuse it."""
    spec, wanted = InputSpec((64, 64), "uint8", fit), InputSpec((64, 64), "uint8", taken)

    assert placed(PICTURE, spec) == wanted.place((96, 120))
    assert prepared(PICTURE, spec).shape == (1, 64, 64, 3)
    np.testing.assert_array_equal(prepared(PICTURE, spec), wanted.place((96, 120)).apply(PICTURE, "uint8"))


def test_every_graph_runs_once_and_the_light_one_on_what_the_key_graph_carries(tmp_path: Path) -> None:
    """The key graph on the picture; the other on the later view with the earlier view's tensors."""
    bundle = read_bundle(tiny_bundle(tmp_path / "b", warp=True))

    with Form(bundle, "fp32", "onnxruntime") as form:
        runs = {run.graph: run.outputs for run in form.runs(PICTURE)}
        feed = form.feed(WARP, PICTURE)
        key_feed = form.feed(KEY, PICTURE)

    assert list(runs) == [KEY, WARP]
    assert runs[KEY].keys() == {spec.name for spec in bundle.graphs[KEY].outputs}
    np.testing.assert_array_equal(key_feed[IMAGE], prepared(PICTURE, bundle.input))
    np.testing.assert_array_equal(feed[IMAGE], prepared(views(PICTURE)[1], bundle.input))
    assert feed.keys() == {IMAGE, "key_state"}
    assert feed["key_state"].tolist() == [7]
    assert form.backend.startswith("onnxruntime 1.")


@pytest.mark.parametrize(("graphs", "expected"), [(None, [KEY, WARP]), ((KEY,), [KEY]), ((WARP,), [WARP])])
def test_only_the_graphs_that_are_asked_for_run(tmp_path: Path, graphs: tuple[str, ...] | None, expected: list[str]) -> None:
    """The key graph is open all the same, because others need what it carries."""
    bundle = read_bundle(tiny_bundle(tmp_path / "b", warp=True))

    with Form(bundle, "fp32", "onnxruntime", graphs) as form:
        assert [run.graph for run in form.runs(PICTURE)] == expected


def test_a_precision_that_is_not_there_closes_what_was_opened(tmp_path: Path) -> None:
    """And says which there are."""
    with pytest.raises(BundleError, match=r"has no int8 version of graph 'key', only \['fp32'\]"):
        Form(read_bundle(tiny_bundle(tmp_path / "b")), "int8", "onnxruntime")


def test_a_backends_own_precision_runs_the_float32_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs no file of its own."""
    bundle = read_bundle(tiny_bundle(tmp_path / "b"))
    opened = _watch(monkeypatch)

    with Form(bundle, "bf16", "openvino"):
        pass

    assert opened == [(tmp_path / "b" / "key.onnx", "bf16")]


def _watch(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, str]]:
    """Which files OpenVINO opens in which precision; it opens them in fp32, which every CPU can."""
    from edgeseg.backends.openvino import OpenVino

    opened: list[tuple[Path, str]] = []
    real: Callable[..., object] = OpenVino.open

    def open_file(self: OpenVino, file: Path, graph: object, precision: str, threads: int | None) -> object:
        opened.append((file, precision))
        return real(self, file, graph, "fp32", threads)

    monkeypatch.setattr(OpenVino, "open", open_file)
    return opened
