"""House rules that a tool can check: lint, types, the length of files and functions, and a changelog that is up to date."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import edgeseg

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("edgeseg", "export", "benchmarks", "docs", "tests")
FILES = sorted(path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60


@pytest.mark.parametrize("command", [["ruff", "check", "."], ["mypy", "--strict", "edgeseg"]], ids=lambda command: command[0])
def test_tool_finds_nothing(command):
    """Ruff and mypy, as pyproject.toml sets them up, have nothing to say."""
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", FILES)
def test_file_and_its_functions_are_short(file):
    """No file is longer than 400 lines and no function longer than 60, docstrings included."""
    source = (ROOT / file).read_text(encoding="utf-8")

    long = [f"{node.name}: {length}" for node in functions(source) if (length := lines_of(node)) > FUNCTION_LINES_MAX]

    assert source.count("\n") <= FILE_LINES_MAX
    assert long == []


@pytest.mark.parametrize("file", [file for file in FILES if Path(file).name.startswith("test_")])
def test_every_test_says_what_it_expects(file):
    """Each test function has a docstring that states the expected behaviour."""
    tests = [node for node in functions((ROOT / file).read_text(encoding="utf-8")) if node.name.startswith("test_")]
    silent = [node.name for node in tests if not ast.get_docstring(node)]

    assert silent == []


def test_changelog_tells_of_this_version():
    """The newest version in CHANGELOG.md is the one that edgeseg states."""
    versions = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert versions[0] == edgeseg.__version__


def functions(source: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1
