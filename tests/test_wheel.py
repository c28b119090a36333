"""The built wheel: what is in it, and that it works where torch has never been installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

SOURCES = ("edgeseg", "export", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md")
# What edgeseg[cpu,eval] needs, lent to the fresh environment from the one that runs the tests. Nothing of edgeseg[export].
LENT = (
    "numpy",
    "numpy.libs",
    "cv2",
    "opencv_python.libs",
    "opencv_python_headless.libs",
    "onnxruntime",
    "flatbuffers",
    "google",
    "packaging",
    "openvino",
    "openvino.libs",
    "openvino_telemetry",
    "pycocotools",
    "pycocotools.libs",
    "scipy",
    "scipy.libs",
    "rich",
    "pygments",
    "markdown_it",
    "mdurl",
)


@pytest.fixture(scope="module")
def built(checkout, tmp_path_factory) -> Path:
    """A folder with the sdist, and the wheel that was built from that sdist."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    for name in SOURCES:
        if (checkout / name).is_dir():
            shutil.copytree(checkout / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(checkout / name, tree / name)
    subprocess.run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(tree)], check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Path:
    """``bin`` of a fresh virtual environment with the wheel and no torch."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    wheel = next(built.glob("*.whl"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(environment / "bin" / "python")]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True)
    site = next((environment / "lib").glob("python*/site-packages"))
    for name in LENT:
        for source in {Path(sysconfig.get_path(kind)) / name for kind in ("purelib", "platlib")}:
            if source.exists():
                (site / name).symlink_to(source)
    return environment / "bin"


def run(installed: Path, cwd: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the fresh environment, away from the checkout."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run([installed / command[0], *command[1:]], cwd=cwd, env=variables, capture_output=True, text=True, check=False)


def test_wheel_holds_every_module_and_all_data(built, checkout):
    """The wheel has every file of edgeseg and, as edgeseg_export, of export; a licence; and nothing else."""
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        licences = [name for name in wheel.namelist() if name.endswith("licenses/LICENSE")]
    paths = [path for folder in ("edgeseg", "export") for path in (checkout / folder).rglob("*") if path.is_file()]
    files = [path.relative_to(checkout).as_posix() for path in paths]
    expected = {f"edgeseg_{name}" if name.startswith("export/") else name for name in files if "__pycache__" not in name}

    assert expected == names
    assert len(licences) == 1


def test_sdist_holds_the_texts_that_belong_to_a_release(built):
    """The source archive carries licence, readme, changelog and the guide for contributors."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {Path(name).name for name in archive.getnames()}

    assert {"LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "setup.py", "pyproject.toml"} <= names


def test_there_is_no_torch_in_the_fresh_environment(installed, tmp_path):
    """Torch cannot be imported there, which is what makes the other tests of this file mean something."""
    done = run(installed, tmp_path, "python", "-c", "import torch")

    assert "ModuleNotFoundError" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["doctor"], ["export", "--list"]], ids=" ".join)
def test_command_works_without_torch(installed, tmp_path, arguments):
    """Help, doctor and the list of recipes need nothing of the export extra."""
    done = run(installed, tmp_path, "edgeseg", *arguments)

    assert (0, "") == (done.returncode, done.stderr)


def test_demo_works_without_torch(installed, tmp_path):
    """The demo runs from the wheel alone and writes its video."""
    done = run(installed, tmp_path, "edgeseg", "demo", "--frames", "5", "--out", "demo.mp4")

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo.mp4").stat().st_size > 0


def test_export_without_torch_names_the_extra(installed, tmp_path):
    """Exporting ends with one message that says what to install."""
    (tmp_path / "weights.pth").write_bytes(b"")

    done = run(installed, tmp_path, "edgeseg", "export", "yolact_resnet50", "--weights", "weights.pth", "--out", "bundle")

    assert done.returncode == 1
    assert "pip install 'edgeseg[export]'" in done.stderr
    assert "Traceback" not in done.stderr
