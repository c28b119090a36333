"""Every name of TensorRT that edgeseg uses exists in all of its releases, by what their bindings export."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgeseg.backends.tensorrt import api

ROOT = Path(__file__).resolve().parents[4]
PACKAGE = ROOT / "edgeseg" / "backends" / "tensorrt"
RELEASES = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in (ROOT / "tests" / "data" / "tensorrt_api").glob("*.json")}
RTX = "rtx"
# Any would hide a name from mypy. Where it stands, with what it is there.
ANY = {"identity.py": "fields of JSON", "session.py": "handles, which every backend's `Session` calls so"}


def declared(source: str) -> set[str]:
    """``Class.member`` of every class in a module's source; private and dunder names are not exported and so not listed."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "Protocol" for base in node.bases):
            members = [entry.target for entry in node.body if isinstance(entry, ast.AnnAssign)]
            names |= {f"{node.name}.{ast.unparse(member)}" for member in members}
            names |= {f"{node.name}.{entry.name}" for entry in node.body if isinstance(entry, ast.FunctionDef)}
    return {name for name in names if not name.partition(".")[2].startswith("_")}


def lacking(names: set[str], release: dict[str, list[str]]) -> set[str]:
    """Those of the names that a release does not export; members of ``Module`` are the release's own classes."""
    members = {f"{name}.{member}" for name, listed in release.items() for member in listed or ()}
    return names - members - {f"Module.{name}" for name in release}


OURS = declared((PACKAGE / "api.py").read_text(encoding="utf-8")) | declared((PACKAGE / "library.py").read_text(encoding="utf-8"))


@pytest.mark.parametrize("release", RELEASES)
def test_every_name_exists_in_every_release(release):
    """What our code may use is there in TensorRT 10.3 to 11.4 and in TensorRT-RTX, but for the names that only the latter has."""
    assert lacking(OURS - api.RTX_ONLY, RELEASES[release]) == set()


def test_names_of_rtx_alone_are_just_these():
    """TensorRT-RTX has them and no TensorRT has, so the list holds nothing that needs no care."""
    assert lacking(set(api.RTX_ONLY), RELEASES[RTX]) == set()
    assert all(lacking(set(api.RTX_ONLY), names) == api.RTX_ONLY for release, names in RELEASES.items() if release != RTX)
    assert api.RTX_ONLY <= OURS


def test_the_releases_are_those_that_we_claim():
    """Six lists, and the declarations were found at all."""
    assert sorted(RELEASES) == ["10.13.0.35", "10.16.1.11", "10.3.0", "11.0.0.114", "11.4.0.106", RTX]
    assert {"Module.Builder", "Builder.build_serialized_network", "DataType.HALF"} <= OURS


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("class Builder(Protocol):\n    def make_coffee(self) -> None: ...", "Builder.make_coffee"),
        ("class BuilderFlag(Protocol):\n    FP16: object", "BuilderFlag.FP16"),
        ("class Coffee(Protocol):\n    HOT: object", "Coffee.HOT"),
    ],
)
def test_a_made_up_name_is_found(source, name):
    """A member, a flag that TensorRT 11 dropped, and a whole class."""
    assert lacking(declared(source), RELEASES["11.4.0.106"]) == {name}


def test_mypy_refuses_a_name_that_is_not_declared(tmp_path):
    """Of the module and of what it makes: this is what ties our code to the declarations."""
    (tmp_path / "uses.py").write_text(
        "from edgeseg.backends.tensorrt.library import find\n"
        "module = find().module\n"
        "module.Coffee, module.BuilderFlag.FP16, module.BuilderFlag.TF32\n"
        "module.Builder(module.ILogger()).create_builder_config().coffee\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", str(tmp_path / "uses.py")]
    found = subprocess.run(command, cwd=ROOT, env={**os.environ, "MYPYPATH": str(ROOT)}, capture_output=True, text=True, check=False).stdout

    assert re.findall(r'has no attribute "(\w+)"', found) == ["Coffee", "FP16", "coffee"]


@pytest.mark.parametrize("file", sorted(PACKAGE.glob("*.py")), ids=lambda file: file.name)
def test_nothing_hides_from_mypy(file):
    """No module that handles TensorRT's objects calls them Any."""
    names = {node.id for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Name)}

    assert "Any" not in names or file.name in ANY
