"""Whether this is a Jetson, which JetPack it has, and whose TensorRT and OpenCV Python finds there."""

from __future__ import annotations

import importlib.machinery
import importlib.util

import pytest

from edgeseg.cli.jetson import Jetson, find_jetson, origin_text

RELEASE = "# R{}, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025\n# KERNEL_VARIANT: oot\n"


@pytest.fixture
def board(tmp_path):
    """``board(model, release)``: the root of a system with these two files, each left out where it is None."""

    def make(model, release):
        (tmp_path / "proc" / "device-tree").mkdir(parents=True)
        (tmp_path / "etc").mkdir()
        if model is not None:
            (tmp_path / "proc" / "device-tree" / "model").write_bytes(model)
        if release is not None:
            (tmp_path / "etc" / "nv_tegra_release").write_text(release)
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("model", "release", "wanted", "jetpack"),
    [
        (b"NVIDIA Jetson Orin NX\0", "36 (release), REVISION: 4.3", Jetson("NVIDIA Jetson Orin NX", "36.4.3"), "JetPack 6"),
        (b"NVIDIA Jetson AGX Thor\0", "38 (release), REVISION: 2.1", Jetson("NVIDIA Jetson AGX Thor", "38.2.1"), "JetPack 7"),
        (None, "35 (release), REVISION: 4.1", Jetson("a Jetson", "35.4.1"), "JetPack 5"),
        (b"NVIDIA Jetson Orin NX\0", "99 (release), REVISION: 1.0", Jetson("NVIDIA Jetson Orin NX", "99.1.0"), "does not know"),
        (b"NVIDIA Jetson Orin NX\0", None, Jetson("NVIDIA Jetson Orin NX", ""), "release not told"),
    ],
)
def test_a_jetson_is_known_by_its_files(board, model, release, wanted, jetpack):
    """Either file is enough: containers often have the first alone."""
    found = find_jetson(board(model, release and RELEASE.format(release)))

    assert found == wanted
    assert jetpack in found.jetpack


@pytest.mark.parametrize(("model", "release"), [(None, None), (b"Raspberry Pi 5 Model B Rev 1.0\0", None), (b"\xff\xfe", "nothing known")])
def test_other_machines_are_none(board, model, release):
    """Other boards describe themselves in the same place."""
    assert find_jetson(board(model, release)) is None


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (None, "not found: the system's is seen in a virtual environment made with --system-site-packages"),
        (("/usr/lib/python3.10/dist-packages/cv2/__init__.py", None), "the system's, /usr/lib/python3.10/dist-packages/cv2"),
        ((None, ["/usr/lib/python3/dist-packages/cv2"]), "the system's, /usr/lib/python3/dist-packages/cv2"),
        (("/home/me/.venv/lib/python3.10/site-packages/cv2/__init__.py", None), "not the system's but /home/me/.venv"),
        (("/usr/local/lib/python3.10/dist-packages/cv2/__init__.py", None), "which hides it: uninstall that package with pip"),
    ],
)
def test_a_package_of_pip_hides_the_systems(monkeypatch, spec, text):
    """That is the usual reason why a camera or TensorRT does not work on a Jetson."""
    made = None if spec is None else importlib.machinery.ModuleSpec("cv2", None, origin=spec[0])
    if made is not None:
        made.submodule_search_locations = spec[1]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: made)

    assert text in origin_text("cv2")
