"""The arrows of the design: which part may import which, and which single module opens an optional package."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

BOTTOM = {"errors", "events", "types", "truth", "candidates", "geometry", "antialias", "background", "opencv", "paths"}
SHARED = BOTTOM | {"masks", "regions", "ops", "bundle"}
LEAVES = {"schedule", "motion", "track", "sources", "sinks", "evaluation"}
MODEL = SHARED | {"backends", "families"}

# Part of edgeseg -> the other parts it may import. Every part must be named here.
MAY_IMPORT: dict[str, set[str]] = {
    **{part: BOTTOM - {part} for part in BOTTOM},
    **{part: BOTTOM | {"ops"} - {part} for part in ("masks", "ops", "bundle")},
    **dict.fromkeys(LEAVES, BOTTOM),
    # Masks from regions of a map.
    "regions": BOTTOM | {"masks", "segmap"},
    # Masks move along the flow, and tracks with them.
    "motion": BOTTOM | {"masks", "regions"},
    "track": BOTTOM | {"masks", "motion"},
    # Drawing is shared by the sinks that show pictures.
    "segmap": BOTTOM,
    "draw_style": BOTTOM,
    "draw_panoptic": BOTTOM | {"segmap", "draw_style"},
    "draw": BOTTOM | {"draw_panoptic", "draw_style"},
    "sinks": BOTTOM | {"draw", "segmap"},
    "device": BOTTOM,
    "backends": SHARED | {"device"},
    "families": SHARED,
    "data": set(),
    "ledger": BOTTOM | {"bundle"},
    "swap": SHARED | {"backends"},
    "model": MODEL | {"swap"},
    "loader": MODEL | {"ledger", "swap", "model"},
    "keyframes": MODEL | LEAVES | {"model"},
    "forward": MODEL | LEAVES,
    "identities": MODEL | LEAVES,
    "pipeline": MODEL | LEAVES | {"model", "keyframes", "forward", "identities"},
    "stream": MODEL | LEAVES | {"model", "pipeline"},
    # Several streams on one model.
    "fleet": MODEL | LEAVES | {"model", "pipeline", "stream"},
    "benchmark": MODEL | LEAVES | {"model", "pipeline"},
    "batch": MODEL | LEAVES | {"ledger", "loader", "model", "pipeline", "stream"},
    "triton": MODEL | {"sinks"},
    "cli": MODEL
    | LEAVES
    | {"batch", "benchmark", "fleet", "device", "ledger", "loader", "model", "pipeline", "stream", "data", "draw", "triton", ""},
    "": MODEL | LEAVES | {"ledger", "loader", "model", "pipeline", "stream", "data"},
    "__main__": {"cli"},
}

# Optional package -> the one module of edgeseg that imports it, inside a function.
OPTIONAL = {
    "cuda": "edgeseg/device/cuda_python.py",
    "cv2": "edgeseg/opencv.py",
    "onnxruntime": "edgeseg/backends/onnxruntime/library.py",
    "onnxruntime_ep_nv_tensorrt_rtx": "edgeseg/backends/onnxruntime/library.py",
    "openvino": "edgeseg/backends/openvino.py",
    "pycocotools": "edgeseg/evaluation/coco.py",
    "pycuda": "edgeseg/device/pycuda.py",
    "pynvml": "edgeseg/benchmark/nvml.py",
    "ray": "edgeseg/batch/executors/on_ray.py",
    "rich": "edgeseg/cli/progress.py",
    "scipy": "edgeseg/track/assignment.py",
    "starlette": "edgeseg/sinks/web/library.py",
    **dict.fromkeys(("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings"), "edgeseg/backends/tensorrt/library.py"),
    "trackeval": "edgeseg/evaluation/identity.py",
    "uvicorn": "edgeseg/sinks/web/library.py",
}
# A module name that is computed; the runtime has no business with one.
UNREADABLE = "?"
EXPORT_NAMES = {"export", "edgeseg_export"}
EXPORT_MAY_USE = {"numpy", "torch", "onnx", "onnxscript", "typing_extensions"}
BLOCKED = [
    "cuda", "cv2", "onnxruntime", "onnxruntime_ep_nv_tensorrt_rtx", "openvino", "pycocotools", "pycuda", "pynvml", "ray", "rich",
    "torch", "torchvision", "onnx", "onnxscript", "scipy", "trackeval", "PIL", "starlette", "uvicorn", "tensorrt",
    "tensorrt_rtx", "tensorrt_rtx_bindings",
]  # fmt: skip


@dataclass(frozen=True)
class Import:
    """One import: the absolute dotted name it asks for, where, and whether it waits inside a function."""

    name: str
    file: str
    line: int
    inside_function: bool
    relative: bool

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.name}"


def imports_of(source: str, file: str) -> list[Import]:
    """Every import in a module's source, ``importlib.import_module("...")`` included."""
    package = Path(file).parent.parts
    found = []

    def visit(node: ast.AST, inside: bool) -> None:
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        found.extend(Import(name, file, node.lineno, inside, relative) for name, relative in names_in(node, package))
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(ast.parse(source), inside=False)
    return found


def names_in(node: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """The absolute dotted names that one syntax node imports, each with whether it was written relatively."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, False) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else ()
        prefix = ".".join([*base, *([node.module] if node.module else [])])
        yield from ((f"{prefix}.{alias.name}", node.level > 0) for alias in node.names)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
        name = leading_text(node.args[0])
        yield (".".join(package) + name, True) if name.startswith(".") else (name, False)


def leading_text(argument: ast.expr) -> str:
    """The module name given to import_module; of ``f"package.{name}"`` what stands before the brace."""
    first = argument.values[0] if isinstance(argument, ast.JoinedStr) else argument
    return str(first.value) if isinstance(first, ast.Constant) else UNREADABLE


def part_of(name: str) -> str:
    """The part of edgeseg that an imported name belongs to: ``edgeseg.ops.boxes.area`` -> ``ops``; public names -> empty."""
    head = name.split(".")[1] if "." in name else ""
    return head if (ROOT / "edgeseg" / head).is_dir() or (ROOT / "edgeseg" / f"{head}.py").is_file() else ""


def part_of_file(file: str) -> str:
    head = Path(file).parts[1]
    return "" if head == "__init__.py" else head.removesuffix(".py")


def faults(source: str, file: str) -> list[str]:
    """What one module imports against the arrows."""
    judge = {"edgeseg": fault_in_edgeseg, "export": fault_in_export, "benchmarks": fault_in_benchmarks}[Path(file).parts[0]]
    return [f"{found}: {why}" for found in imports_of(source, file) if (why := judge(found)) is not None]


def fault_in_edgeseg(found: Import) -> str | None:
    if found.top in OPTIONAL:
        if found.file != OPTIONAL[found.top]:
            return f"only {OPTIONAL[found.top]} may"
        return None if found.inside_function else "it must wait inside a function"
    if found.top != "edgeseg":
        return None if found.top == "numpy" or found.top in sys.stdlib_module_names else "the runtime needs numpy and OpenCV alone"
    part, target = part_of_file(found.file), part_of(found.name)
    return None if target == part or target in MAY_IMPORT[part] else f"{part or 'edgeseg'} may import {sorted(MAY_IMPORT[part])}"


def fault_in_export(found: Import) -> str | None:
    if found.name == UNREADABLE:
        return None
    if found.top in EXPORT_NAMES:
        return None if found.relative else "siblings are imported relatively, because the installed name is edgeseg_export"
    allowed = found.top in EXPORT_MAY_USE | {"edgeseg"} or found.top in sys.stdlib_module_names
    return None if allowed else "export uses torch, onnx, numpy and edgeseg; what edgeseg wraps is used through edgeseg"


def fault_in_benchmarks(found: Import) -> str | None:
    return "benchmarks sit on top and test nothing" if found.top == "tests" else None


def modules(*folders: str) -> list[str]:
    """Python files of the checkout, relative to its root."""
    return sorted(path.relative_to(ROOT).as_posix() for folder in folders for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("file", modules("edgeseg", "export", "benchmarks"))
def test_module_imports_only_what_the_design_allows(file):
    """Every import of every module follows an arrow of the design."""
    assert faults((ROOT / file).read_text(encoding="utf-8"), file) == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("edgeseg/backends/x.py", "from edgeseg.families import base"),
        ("edgeseg/families/x.py", "from edgeseg import backends"),
        ("edgeseg/families/x.py", "from ..backends.base import Session"),
        ("edgeseg/types.py", "import edgeseg.bundle"),
        ("edgeseg/sources/x.py", "from edgeseg.model import Model"),
        ("edgeseg/model.py", "from edgeseg.pipeline import run"),
        ("edgeseg/cli/x.py", "def f():\n    from export.cli import main"),
        ("edgeseg/cli/x.py", "def f():\n    import torch"),
        ("edgeseg/masks.py", "def f():\n    import importlib\n    importlib.import_module('cv2')"),
        ("edgeseg/opencv.py", "import cv2"),
        ("edgeseg/cli/x.py", "def f(name):\n    importlib.import_module(name)"),
        ("edgeseg/sources/x.py", "from edgeseg.draw import annotate"),
        ("export/x.py", "from export.nets import fpn"),
        ("export/x.py", "importlib.import_module('edgeseg_export.run')"),
        ("export/x.py", "import onnxruntime"),
        ("benchmarks/x.py", "from tests.fill_panoptic import fill_panoptic"),
    ],
)
def test_arrow_check_finds_a_forbidden_import(file, source):
    """The check itself sees each kind of forbidden import, so that its silence means something."""
    assert len(faults(source, file)) == 1


def test_every_part_of_the_runtime_has_its_arrows():
    """A new file or folder of edgeseg must be given its place among the arrows."""
    assert {part_of_file(file) for file in modules("edgeseg")} <= set(MAY_IMPORT)


def test_all_of_edgeseg_imports_with_numpy_alone():
    """Every module of edgeseg imports, and the command prints its help, on a machine with none of the optional packages."""
    script = f"""
import importlib, pkgutil, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError("blocked: " + name, name=name)

sys.meta_path.insert(0, Block())
import edgeseg
for module in pkgutil.walk_packages(edgeseg.__path__, "edgeseg."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from edgeseg.cli import main
raise SystemExit(main(["--help"]))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.stderr == ""
    assert done.returncode == 0
    assert "usage: edgeseg" in done.stdout
