"""``edgeseg doctor``: what it says of this machine and of one without backends."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from edgeseg.backends import BACKENDS, Probe
from edgeseg.cli import doctor, main
from edgeseg.errors import MissingDependencyError


class Probed:
    """A backend that answers with a given probe."""

    def __init__(self, probe):
        self._probe = probe

    def probe(self):
        return self._probe


def test_command_works_as_a_module(checkout):
    """``python -m edgeseg doctor`` runs in a process of its own and names Python, OpenCV and the backends."""
    done = subprocess.run([sys.executable, "-m", "edgeseg", "doctor"], cwd=checkout, capture_output=True, text=True, check=False)

    assert done.returncode == 0
    assert done.stderr == ""
    for part in (
        platform.python_version(),
        "OpenCV",
        "GStreamer",
        "FFMPEG",
        "GUI",
        "backend onnxruntime",
        "backend openvino",
        "demo bundle",
        "Ready: ",
    ):
        assert part in done.stdout


def test_no_usable_backend_is_code_1_with_what_to_install(capsys, monkeypatch):
    """Without any backend the exit code is 1, and each line has its remedy; the backend for tests does not count."""
    for name in ("onnxruntime", "openvino"):
        monkeypatch.setitem(BACKENDS, name, Probed(Probe(False, detail="no module", remedy=f"pip install {name}")))

    assert main(["doctor"]) == 1

    text = capsys.readouterr().out
    assert "not installed: no module. pip install openvino" in text
    assert "fake" not in text
    assert "Not ready" in text


def test_one_usable_backend_is_enough(capsys, monkeypatch):
    """One backend that works makes the machine ready."""
    monkeypatch.setitem(BACKENDS, "openvino", Probed(Probe(False, version="1.0", detail="no plugin", remedy="install it again")))
    monkeypatch.setitem(BACKENDS, "onnxruntime", Probed(Probe(True, version="9.9", detail="CPU")))

    assert main(["doctor"]) == 0

    text = capsys.readouterr().out
    assert "usable, 9.9, CPU" in text
    assert "installed (1.0) but not usable: no plugin. install it again" in text
    assert "Ready: onnxruntime can run models." in text


def test_missing_opencv_is_told_not_raised(capsys, monkeypatch):
    """The doctor is there for broken machines: a missing OpenCV is a line of the table."""

    def missing():
        raise MissingDependencyError("OpenCV is needed but not installed")

    monkeypatch.setattr(doctor, "opencv", missing)

    main(["doctor"])

    assert "not usable: OpenCV is needed" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "found"), [("pytest", True), ("no_such_package_here", False)])
def test_optional_packages_are_looked_up(name, found):
    """An installed package gives its version, a missing one what it is good for."""
    text = doctor._package_text(name, "for tests")

    assert text == (pytest.__version__ if found else "not installed (for tests)")
