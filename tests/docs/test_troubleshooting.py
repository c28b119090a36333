"""The messages that the documentation quotes are messages that the code has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOLE = "\0"
"""Stands in a template for what is filled in; no quotation can hold it."""
DOTS = "..."


def quotations(document: str) -> list[str]:
    """The messages in the first columns of the document's tables of messages."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    tables = re.findall(r"^\| (?:the )?message \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    cells = [re.match(r"\| (.*?) \| ", row) for table in tables for row in table.splitlines()]
    return [quoted for cell in cells for quoted in re.findall(r"`([^`]+)`", cell[1])]


def templates(source: str) -> Iterator[str]:
    """The texts of a module that are no docstrings, with a hole for each part of an f-string that is filled in."""
    tree = ast.parse(source)
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside | alone:
            yield node.value


def is_quoted(quotation: str, messages: str) -> bool:
    """Whether a quotation is a part of a line; its dots stand for anything, and all that is filled in needs dots."""
    parts = quotation.removeprefix(DOTS).removesuffix(DOTS).split(DOTS)
    return re.search(".*?".join(map(re.escape, parts)), messages) is not None


@pytest.fixture(scope="module")
def messages() -> str:
    """All texts of the code, a line for each."""
    files = [*(ROOT / "edgeseg").rglob("*.py"), *(ROOT / "export").rglob("*.py")]
    return "\n".join(text.replace("\n", " ") for file in files for text in templates(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize(("document", "least"), [("troubleshooting.md", 60), ("tensorrt.md", 15)])
def test_quoted_messages_are_in_the_code(document, least, messages):
    """Every message in the tables is a text of the code, with dots for what is filled in."""
    quoted = quotations(document)

    assert len(quoted) >= least
    assert [one for one in quoted if not is_quoted(one, messages)] == []


@pytest.mark.parametrize(
    ("quotation", "expected"),
    [
        ("there is no kettle at ...", True),
        ("... is empty", True),
        ("kettle at ... is", True),
        ("there is no kettle at home", False),
        ("there was no kettle at ...", False),
        ("Heats water", False),
        ("it whistles", True),
    ],
)
def test_check_tells_a_message_from_others(quotation, expected):
    """Dots fit what is filled in, other words do not, and docstrings are no messages."""
    source = '"""Heats water."""\nraise KettleError(f"there is no kettle at {place}: {what!r} is empty")\nNOISE = "it whistles"'

    assert is_quoted(quotation, "\n".join(templates(source))) is expected
