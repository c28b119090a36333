"""Which TensorRT is found, and what is said when there is none."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest

from edgeseg.backends.tensorrt import library
from edgeseg.errors import MissingDependencyError


@pytest.fixture
def installed(monkeypatch):
    """Name -> module that can be imported, or the error that importing it raises; nothing else can."""
    modules = {}

    def import_module(name):
        found = modules.get(name, ModuleNotFoundError(f"No module named {name!r}"))
        if isinstance(found, Exception):
            raise found
        return found

    fake = SimpleNamespace(import_module=import_module, util=SimpleNamespace(find_spec=lambda _: None))
    monkeypatch.setattr(library, "importlib", fake)
    return modules


def module(version):
    return SimpleNamespace(Builder=object, __version__=version)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("tensorrt", "tensorrt_rtx"), "TensorRT 1"),
        (("tensorrt_rtx", "tensorrt_rtx_bindings"), "TensorRT-RTX 1"),
        (("tensorrt_rtx_bindings",), "TensorRT-RTX 1"),
    ],
)
def test_tensorrt_comes_before_rtx(installed, names, words):
    """The full library is taken where it is; the bindings of RTX alone are the last choice."""
    installed.update({name: module(str(number)) for number, name in enumerate(names, 1)})

    assert str(library.find()) == words


def test_a_broken_installation_is_passed_over(installed):
    """A library that does not load, and a folder that has the name, do not hide one that works."""
    installed.update(tensorrt=OSError("libnvinfer.so.10: cannot open"), tensorrt_rtx=importlib, tensorrt_rtx_bindings=module("1.7"))

    assert library.find().rtx


def test_without_any_the_error_says_what_to_install(installed):
    """What each attempt met, the extra, and what a Jetson needs."""
    installed.update(tensorrt=OSError("libnvinfer.so.10: cannot open"))

    with pytest.raises(MissingDependencyError, match=r"libnvinfer.*No module named 'tensorrt_rtx'.*edgeseg\[tensorrt\].*--system-site-"):
        library.find()
