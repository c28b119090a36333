"""What the extras ask for where it cannot be tried: on a Jetson."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILES = {"3.10": ROOT / "docker" / "jetpack6.Dockerfile", "3.12": ROOT / "docker" / "jetpack7.Dockerfile"}
OF_JETPACK = re.compile(r"(?<![\w-])(tensorrt[\w-]*|opencv[\w-]*|onnxruntime[\w-]*|torch|nvidia-[\w-]+|cuda[\w-]*)(?![\w-])", re.IGNORECASE)
"""Packages of pip that hide what JetPack has, or have no build for it."""
NO_WHEELS = "pycuda"
NEEDED_BY_PYCUDA = ("mako", "platformdirs", "pytools")
"""What PyCUDA's own setup.py asks for: pip learns it only by compiling PyCUDA, which no test does."""


def requirements(name: str) -> list[str]:
    """The requirements of an extra, and the base one, as setup.py has them."""
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    extras = next(node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EXTRAS")
    values = {key.value: value for key, value in zip(extras.keys, extras.values, strict=True)}
    base = next(node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "install_requires")
    return [*ast.literal_eval(values[name]), *ast.literal_eval(base)]


def pip_resolve(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What pip would install, in ``report.json``; nothing is installed."""
    options = ["--dry-run", "--quiet", "--ignore-installed", "--retries", "1", "--target", str(folder / "none"), "--report"]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *options, str(folder / "report.json"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def _registry(tmp_path_factory):
    """Skips where pip reaches no registry."""
    done = pip_resolve(tmp_path_factory.mktemp("reach"), "--no-deps", "rich")
    if done.returncode:
        pytest.skip(f"pip reaches no package registry: {done.stderr.strip().splitlines()[-1]}")


def test_the_jetson_extra_brings_nothing_that_jetpack_has():
    """Neither TensorRT nor OpenCV nor anything else of CUDA; PyCUDA, which JetPack lacks, it does bring."""
    found = requirements("jetson")

    assert [entry for entry in found if OF_JETPACK.search(entry)] == []
    assert any(entry.startswith(NO_WHEELS) for entry in found)
    assert OF_JETPACK.search("opencv-python>=4.8")
    assert OF_JETPACK.search("tensorrt>=10")


@pytest.mark.usefixtures("_registry")
@pytest.mark.parametrize("python", DOCKERFILES)
def test_the_jetson_extra_resolves_for_the_board(tmp_path, python):
    """Wheels alone, for aarch64 and the Python of each JetPack, and none of them is a package of JetPack. PyCUDA is left out."""
    version = python.replace(".", "")
    platforms = [f"--platform=manylinux{name}_aarch64" for name in ("2014", "_2_17", "_2_27", "_2_28")]
    wanted = [entry for entry in requirements("jetson") if not entry.startswith(NO_WHEELS)]
    target = ["--only-binary=:all:", "--implementation=cp", f"--python-version={version}", f"--abi=cp{version}", *platforms]

    done = pip_resolve(tmp_path, *target, *wanted, *NEEDED_BY_PYCUDA)

    assert done.returncode == 0, done.stderr
    found = {entry["metadata"]["name"].lower(): entry for entry in json.loads((tmp_path / "report.json").read_text())["install"]}
    assert {"numpy", "scipy", "rich", *NEEDED_BY_PYCUDA} <= set(found)
    assert [name for name in found if OF_JETPACK.search(name)] == []
    assert found["numpy"]["metadata"]["version"].startswith("1.")
    assert "aarch64" in found["numpy"]["download_info"]["url"]


@pytest.mark.parametrize("file", DOCKERFILES.values(), ids=lambda file: file.stem)
def test_a_dockerfile_keeps_what_the_system_has(file):
    """The environment sees the system's packages, pip installs edgeseg's extra alone, and all that is copied exists."""
    lines = file.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    copied = [source for line in lines if line.startswith("COPY ") for source in line.split()[1:-1]]

    assert [line for line in lines if "pip install" in line] == ['RUN pip install --no-cache-dir "/src[jetson]"']
    assert any(line.startswith("RUN python3 -m venv --system-site-packages ") for line in lines)
    assert any("python3-libnvinfer" in line for line in lines)
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert {"setup.py", "edgeseg", "export"} <= set(copied)


@pytest.mark.parametrize(("python", "file"), DOCKERFILES.items())
def test_the_page_about_jetson_names_the_same_versions(python, file):
    """Python and TensorRT of a Dockerfile's first line stand in the page's table."""
    first = file.read_text(encoding="utf-8").splitlines()[0]
    table = [line for line in (ROOT / "docs" / "jetson.md").read_text(encoding="utf-8").splitlines() if line.startswith("|")]

    assert f"Python {python}" in first
    for word in (python, *re.findall(r"(?:CUDA|TensorRT) ([\d.]+\d|\d+)", first)):
        assert any(word in line for line in table)
