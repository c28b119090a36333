"""What `load` does where the best backend has no engines of the bundle yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeseg
from edgeseg.backends import BACKENDS, Choice, Probe
from edgeseg.errors import BackendError, MissingDependencyError, UsageError
from tests.edgeseg.made_up_engines import Engines

PICTURE = np.zeros((64, 64, 3), np.uint8)


def test_the_log_is_told_where_nobody_listens(engines: Engines, video: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In Python without a note the lines are warnings of the log."""
    engines.error = BackendError("no")
    engines.gate.set()
    with edgeseg.load(video) as model:
        model._swap.wait()

    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


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
