"""What `load` makes of its arguments, and what it does where the best backend has no engines of the bundle yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeseg
from edgeseg.backends import BACKENDS, Choice, Probe
from edgeseg.errors import BackendError, BundleError, EdgesegError, MissingDependencyError, UsageError
from edgeseg.ledger import PrecisionWarning
from tests.bundles import tiny_bundle
from tests.edgeseg.made_up_engines import Engines

PICTURE = np.zeros((64, 64, 3), np.uint8)


def test_the_log_is_told_where_nobody_listens(engines: Engines, video: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In Python without a note the lines go to the log: that engines are built, and as a warning that they could not be."""
    caplog.set_level("INFO")
    engines.error = BackendError("no")
    engines.gate.set()
    with edgeseg.load(video) as model:
        model._swap.wait()

    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]


@pytest.mark.parametrize("arguments", [{"build": "wait"}, {"backend": "engines"}, {"backend": "engines", "build": "wait"}])
def test_waiting_opens_the_best_backend_at_once(engines: Engines, video: Path, arguments: dict[str, Any]) -> None:
    """A backend that is named is waited for, unless something else is asked; all graphs are built before the first frame."""
    engines.gate.set()
    with edgeseg.load(video, **arguments) as model:
        assert (model.choice.name, model._swap) == ("engines", None)
        assert (len(engines.built), engines.opened) == (2, ["key"])


def test_a_named_backend_can_be_built_aside(engines: Engines, video: Path) -> None:
    """It takes over from what auto finds."""
    engines.gate.set()
    with edgeseg.load(video, backend="engines", build="background", note=lambda _: None) as model:
        assert model.choice.name != "engines"
        model._swap.wait()
        model(PICTURE)
        assert model.choice == Choice("engines", "as asked")


def test_never_does_without(engines: Engines, video: Path) -> None:
    """Auto takes the next best; a backend that is named is refused with what to do."""
    with edgeseg.load(video, build="never") as model:
        assert (model.choice.name != "engines", model._swap) == (True, None)
    with pytest.raises(BackendError, match=r"engines has no engines of this bundle, and none may be built\. Run 'edgeseg build BUNDLE'"):
        edgeseg.load(video, backend="engines", build="never")


@pytest.mark.parametrize("build", ["wait", "background", "never"])
def test_engines_that_are_there_serve_from_the_first_frame(engines: Engines, video: Path, build: str) -> None:
    """Nothing is built then."""
    engines.built = {video / "key.onnx", video / "warp.onnx"}
    with edgeseg.load(video, build=build) as model:
        assert (model.choice.name, model._swap, engines.started.is_set()) == ("engines", None, False)


def test_engines_of_one_graph_are_not_enough(engines: Engines, video: Path) -> None:
    """All graphs of the bundle must be there."""
    engines.built = {video / "key.onnx"}
    with edgeseg.load(video, build="never") as model:
        assert model.choice.name != "engines"


def test_with_nothing_else_to_start_on_the_build_is_waited_for(engines: Engines, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a device that has TensorRT alone; without leave to build there is nothing."""
    engines.gate.set()
    none = Probe(False, detail="not there", remedy="pip install it")
    for name in ("onnxruntime", "openvino"):
        monkeypatch.setattr(type(BACKENDS[name]), "probe", lambda _: none)
    with edgeseg.load(video, build="background", note=lambda _: None) as model:
        assert (model.choice.name, model._swap) == ("engines", None)
    engines.built.clear()
    with pytest.raises(MissingDependencyError, match=r"engines: it has no engines of this bundle yet \(edgeseg build BUNDLE\)"):
        edgeseg.load(video, build="never")


def test_an_unknown_way_to_build_is_wrong_usage(video: Path) -> None:
    """The message lists the three."""
    with pytest.raises(UsageError, match="build must be one of wait, background, never, got 'later'"):
        edgeseg.load(video, build="later")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"backend": "tpu"}, UsageError, "there is no backend 'tpu'"),
        ({"precision": "int8"}, BundleError, "has no int8 version"),
        ({"threads": 0}, UsageError, "threads must be 1 or more, got 0"),
        ({"score_threshold": 1.5}, UsageError, "score threshold must be from 0 to 1, got 1.5"),
        ({"score_threshold": float("nan")}, UsageError, "score threshold must be from 0 to 1, got nan"),
    ],
)
def test_arguments_that_cannot_work_are_refused(tmp_path: Path, arguments: dict[str, Any], error: type[EdgesegError], message: str) -> None:
    """Each with its own error."""
    with pytest.raises(error, match=message):
        edgeseg.load(tiny_bundle(tmp_path / "b"), **{"backend": "onnxruntime", **arguments})


def test_a_precision_of_one_backends_own_chooses_that_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``auto``; a backend that is named and does not have it says so."""
    bundle = tiny_bundle(tmp_path / "b")
    monkeypatch.setattr("edgeseg.backends.platform.machine", lambda: "aarch64")
    monkeypatch.setattr("edgeseg.backends.openvino._require_bf16", lambda _: None)

    with pytest.warns(PrecisionWarning, match="nobody measured"), edgeseg.load(bundle, precision="bf16") as model:
        assert model.choice.name == "openvino"
    with pytest.raises(BundleError, match="no bf16 version"):
        edgeseg.load(bundle, backend="onnxruntime", precision="bf16")


def test_a_model_whose_graphs_run_elsewhere_finds_the_same(video: Path) -> None:
    """Key and warped frames: a function that asks sessions of its own by the graph's name is given what was carried."""
    asked = []
    with edgeseg.load(video, backend="onnxruntime") as local:

        def infer(graph: str, feeds: dict[str, Any]) -> dict[str, Any]:
            asked.append((graph, sorted(feeds)))
            return local._opened.session(graph).run(feeds)

        with edgeseg.load_remote(video, infer, where="a server at home") as remote:
            assert (remote.choice.name, remote.runs_on) == ("remote", "a server at home")
            source = "synthetic:frames=4,size=64x48"
            found = [
                [{**result.to_json(), "age_ms": 0} for _, result in edgeseg.stream(model, source, schedule="fixed:2")]
                for model in (local, remote)
            ]

    assert found[0] == found[1]
    assert [record["step"] for record in found[1]] == ["key", "warp"] * 2
    assert asked == [("key", ["image"]), ("warp", ["image", "key_state"])] * 2
