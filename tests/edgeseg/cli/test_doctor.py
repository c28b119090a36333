"""``edgeseg doctor``: what it says of this machine and of one without backends."""

from __future__ import annotations

import platform
import re
import subprocess
import sys

import pytest

from edgeseg.backends import BACKENDS, Probe
from edgeseg.backends.tensorrt.gpu import Gpu
from edgeseg.cli import doctor, main
from edgeseg.cli.jetson import Jetson
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
        "backend tensorrt",
        "backend onnxruntime-cuda",
        "driven by pycuda",
        "driven by cuda-python",
        "demo bundle",
        "Ready: ",
    ):
        assert part in done.stdout


def test_no_usable_backend_is_code_1_with_what_to_install(capsys, monkeypatch):
    """Without any backend the exit code is 1, and each line has its remedy; the backend for tests does not count."""
    for name in set(BACKENDS) - {"fake"}:
        monkeypatch.setitem(BACKENDS, name, Probed(Probe(False, detail="no module", remedy=f"pip install {name}")))

    assert main(["doctor"]) == 1

    text = capsys.readouterr().out
    assert "not installed: no module. pip install openvino" in text
    assert "fake" not in text
    assert "Not ready" in text


def test_one_usable_backend_is_enough(capsys, monkeypatch):
    """One backend that works makes the machine ready."""
    for name in set(BACKENDS) - {"fake"}:
        monkeypatch.setitem(BACKENDS, name, Probed(Probe(False, detail="no module", remedy="install it")))
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


def test_gpu_and_engine_cache_are_shown(capsys, monkeypatch, tmp_path):
    """The GPU by its name, and how many engines of what size lie where."""
    monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path))
    for name in ("a", "b"):
        (tmp_path / f"{name}.engine").write_bytes(bytes(600_000))
    monkeypatch.setattr(doctor, "find_gpu", lambda: Gpu("Orin", (8, 7)))

    main(["doctor"])

    text = capsys.readouterr().out
    assert re.search(r"^GPU +Orin \(sm87\)$", text, re.MULTILINE)
    assert re.search(rf"^engine cache +{tmp_path}: 2 engines, 1.2 MB$", text, re.MULTILINE)


def test_without_a_cache_there_are_no_engines(capsys, monkeypatch, tmp_path):
    """A folder that is not there yet is no error; nor is a machine that is no Jetson."""
    monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path / "later"))
    monkeypatch.setattr(doctor, "find_jetson", lambda: None)

    main(["doctor"])

    text = capsys.readouterr().out
    assert f"{tmp_path / 'later'}: no engines" in text
    assert "Jetson" not in text


def test_a_jetson_is_named_with_its_release(capsys, monkeypatch):
    """And where its TensorRT and OpenCV come from."""
    monkeypatch.setattr(doctor, "find_jetson", lambda: Jetson("NVIDIA Jetson Orin NX", "36.4.3"))

    main(["doctor"])

    text = capsys.readouterr().out
    assert re.search(r"^Jetson +NVIDIA Jetson Orin NX, L4T 36\.4\.3, JetPack 6$", text, re.MULTILINE)
    assert re.search(r"^  TensorRT +(not|the)", text, re.MULTILINE)
    assert re.search(r"^  OpenCV +(not|the)", text, re.MULTILINE)
