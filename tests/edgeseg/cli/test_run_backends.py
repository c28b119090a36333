"""``edgeseg run`` with backends of a GPU: what is built when, and what may fall to the CPU."""

from __future__ import annotations

import threading

import pytest

from edgeseg import backends
from edgeseg.cli import main
from edgeseg.errors import BackendError
from edgeseg.sources.synthetic import SceneConfig, SyntheticSource

CLIP = "synthetic:seed=1,frames=3,size=64x48"


class Straight(SyntheticSource):
    """Starts when the engines are there, so that the change falls on a known frame."""

    def __iter__(self):
        for thread in threading.enumerate():
            if thread.name == "edgeseg-build":
                thread.join()
        return super().__iter__()


@pytest.mark.parametrize(
    ("options", "now", "lines"),
    [
        ([], "onnxruntime", ["building engines for backend engines; ", "backend engines (fastest on this GPU) takes over"]),
        (["--build", "never"], "onnxruntime", []),
        (["--build", "wait"], "engines", ["building engines for backend engines, which can take minutes"]),
        (["--backend", "engines"], "engines", ["building engines for backend engines, which can take minutes"]),
    ],
)
def test_engines_are_built_as_asked(bundle, capsys, monkeypatch, engines, options, now, lines):
    """Aside, with a line when they take over, in front of the first frame, or not at all; frames come out all the same."""
    engines.gate.set()
    monkeypatch.setattr(backends, "ON_CPU", ("onnxruntime",))
    monkeypatch.setattr("edgeseg.cli.run.open_source", lambda *_: Straight(SceneConfig(seed=1, frame_count=3, size_hw=(48, 64))))

    assert main(["run", str(bundle), CLIP, *options]) == 0

    error = capsys.readouterr().err
    assert f"backend {now} (" in error
    assert "3 frames in " in error
    for line in lines:
        assert line in error
    assert ("engines" in error) == bool(lines)


@pytest.mark.parametrize(("options", "allowed"), [([], False), (["--allow-cpu-fallback"], True)])
def test_work_on_the_cpu_must_be_allowed(bundle, picture, capsys, monkeypatch, options, allowed):
    """The option reaches the backend; without it the error names the option."""

    class Gpu:
        name, own_precisions = "gpu", {}
        probe, open = backends.BACKENDS["onnxruntime"].probe, backends.BACKENDS["onnxruntime"].open

        def __init__(self, allowed=False):
            if not allowed:
                self.open = self.refuse

        def refuse(self, *_):
            raise BackendError("1 Resize would run on the CPU. To run them there all the same, allow it: --allow-cpu-fallback")

        def allowing_cpu_fallback(self):
            return Gpu(allowed=True)

    monkeypatch.setitem(backends.BACKENDS, "gpu", Gpu())

    assert main(["run", str(bundle), str(picture), "--backend", "gpu", *options]) == (0 if allowed else 1)

    assert ("--allow-cpu-fallback" in capsys.readouterr().err) != allowed
