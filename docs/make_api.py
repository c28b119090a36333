"""Writes docs/api.md, the reference of what programs use and extend, from the signatures and docstrings of the source.

    python docs/make_api.py            writes it
    python docs/make_api.py --check    exit code 1 unless it is current

The source is read, not imported, so that the text is the same on every version of Python.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import griffe

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "api.md"
INTRO = """# API reference

What programs use, and what they extend. [README](../README.md#from-python) has a first example,
[Contributing](../CONTRIBUTING.md#add-something) says where new parts go.

Pictures are uint8 arrays of height x width x 3, blue first, as OpenCV gives them. Boxes are x1, y1, x2, y2 in pixels of the
picture, whose top left corner is 0, 0.
Times are seconds of one monotonic clock. `U8Array`, `F32Array` and the like are NumPy arrays of that dtype; `SizeHW` is (height, width).
What is not on this page may change without notice.

This page is written by `docs/make_api.py` from the source; edit the docstrings there.
"""


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    title: str
    about: str
    names: tuple[str, ...]
    """Dotted, below ``edgeseg``; `__all__` of edgeseg is among them, which a test holds."""


SECTIONS = (
    Section("Run a model", "", ("load", "load_remote", "Model", "stream", "open_source", "demo_bundle", "panoptic_demo_bundle")),
    Section(
        "What comes out",
        "All values are frozen, and check the shapes of their arrays when they are made.",
        ("Result", "Instances", "types.Masks", "types.Rle", "Panoptic", "Segment", "Label", "Step", "Frame"),
    ),
    Section(
        "A loop of your own",
        "`stream` is a `Pipeline` around a source; these are its parts.",
        ("Pipeline", "StreamSettings", "run", "Summary", "stream.StageTimes"),
    ),
    Section(
        "Errors",
        "All but the warning are of `edgeseg`. Their texts say what was wrong and what to do ([Troubleshooting](troubleshooting.md)).",
        (
            *("EdgesegError", "UsageError", "MissingDependencyError", "BundleError", "CheckpointError", "ExportError", "BackendError"),
            *("SourceError", "HangError", "SinkError", "EvaluationError", "ledger.PrecisionWarning"),
        ),
    ),
    Section(
        "Score results",
        "They need the extra `eval`.",
        ("evaluation.MaskApMeter", "evaluation.MaskAp", "evaluation.CocoTruth", "types.GroundTruth", "evaluation.PqMeter"),
    ),
    Section(
        "Write a source",
        "A file or a folder is a `Source`. A device is a `Capture`, which `open_live` watches and connects anew.",
        (
            *("sources.Source", "sources.SourceInfo", "sources.SourceCounts"),
            *("sources.Capture", "sources.open_live", "sources.LiveSettings"),
        ),
    ),
    Section("Write an output", "", ("sinks.Sink",)),
    Section("Write a schedule", "A policy is a pure function from a `Tick` to a `Step`.", ("schedule.Policy", "Tick", "schedule.schedule")),
    Section("Write an optical flow", "", ("motion.base.Flow",)),
    Section(
        "Write a model family",
        "It gives meaning to a graph's outputs and knows nothing of backends.",
        ("families.Family", "families.Decoded", "geometry.Fit", "bundle.Bundle", "bundle.Graph", "bundle.TensorSpec", "bundle.InputSpec"),
    ),
    Section(
        "Write a backend",
        "It runs graphs and knows nothing of their meaning. `tests/contract` is the suite that each must pass.",
        tuple(f"backends.base.{name}" for name in ("Backend", "Probe", "Session", "Carried", "Prepares", "FallsBack")),
    ),
)
_SHOWN_DUNDERS = ("__call__", "__iter__", "__len__")
_LINE_MAX = 110


def page() -> str:
    """The whole document."""
    logging.getLogger("griffe").setLevel(logging.ERROR)
    package = griffe.load("edgeseg", search_paths=[ROOT], docstring_parser="google")
    writer = Writer({name.rpartition(".")[2] for section in SECTIONS for name in section.names})
    lines = [INTRO]
    for section in SECTIONS:
        lines += [f"## {section.title}", "", *([section.about, ""] if section.about else [])]
        for name in section.names:
            lines += writer.entry(package[name], f"edgeseg.{name}")
    return "\n".join(lines).rstrip() + "\n"


class Writer:
    """Makes Markdown of objects.

    Args:
        known: names with an entry of their own, to which docstrings are linked.
    """

    def __init__(self, known: set[str]) -> None:
        self._known = known

    def entry(self, found: griffe.Object | griffe.Alias, path: str) -> Iterator[str]:
        """A class or function with all that belongs to it."""
        # `edgeseg.stream` is the function, which hides the module that it comes from.
        found = found[path.rpartition(".")[2]] if found.is_module else found
        target = found.final_target if isinstance(found, griffe.Alias) else found
        yield from (f"### {target.name}", "")
        if isinstance(target, griffe.Function):
            yield from self._function(target, path)
        elif isinstance(target, griffe.Class):
            yield from self._class(target, path)
        else:
            raise TypeError(f"{path} is {target.kind.value}; only classes and functions have entries")

    def _function(self, function: griffe.Function, path: str) -> Iterator[str]:
        yield from (*code(signature(function, path)), "", *self._prose(function))

    def _class(self, cls: griffe.Class, path: str) -> Iterator[str]:
        bases = ", ".join(str(base) for base in cls.bases)
        constructor = cls.members.get("__init__")
        if isinstance(constructor, griffe.Function) and "dataclass" not in cls.labels:
            yield from code(signature(constructor, path, of_class=True))
        else:
            yield from code(f"class {path}({bases})" if bases else f"class {path}")
        yield from ("", *self._prose(cls))
        members = [member for member in cls.members.values() if is_shown(member)]
        fields = [member for member in members if isinstance(member, griffe.Attribute) and is_declared(member)]
        if fields:
            yield from (*(self._field(field) for field in fields), "")
        for member in members:
            if isinstance(member, griffe.Function):
                yield from (f"#### {cls.name}.{member.name}", "", *self._function(member, member.name))

    def _field(self, field: griffe.Attribute) -> str:
        value = "" if field.value is None or "property" in field.labels else f" = {default_text(field.value)}"
        kind = "" if field.annotation is None else f": {field.annotation}"
        about = " ".join(" ".join(self._prose(field)).split())
        return f"- `{field.name}{kind}{value}`{' - ' if about else ''}{about}"

    def _prose(self, owner: griffe.Object) -> Iterator[str]:
        """A docstring; its lists of arguments and errors as lists."""
        if owner.docstring is None:
            return
        for section in owner.docstring.parse("google", warnings=False):
            if section.kind is griffe.DocstringSectionKind.text:
                yield from (self._text(section.value), "")
                continue
            yield from (f"**{section.title or section.kind.value.capitalize()}**", "")
            if section.kind is griffe.DocstringSectionKind.returns:
                yield self._text(returns_text(owner.docstring.value))
            else:
                for item in section.value:
                    # Several errors with one reason are a tuple to griffe.
                    head = getattr(item, "name", "") or str(item.annotation).strip("()")
                    yield f"- `{head}`: {self._text(' '.join(item.description.split()))}"
            yield ""

    def _text(self, text: str) -> str:
        """Prose of a docstring, in which two backticks mark code and one a name, as Markdown."""
        marked = re.compile(r"``([^`]+)``|`([^`]+)`")
        return marked.sub(lambda found: f"`{found[1]}`" if found[1] else self._link(found[2]), text)

    def _link(self, name: str) -> str:
        short = name.rpartition(".")[2]
        # A lower-case name alone may be that of a method.
        is_known = short in self._known and (name[0].isupper() or name.startswith("edgeseg."))
        return f"[`{name}`](#{short.lower()})" if is_known else f"`{name}`"


def is_shown(member: griffe.Object | griffe.Alias) -> bool:
    """Whether a member of a class is public, said anything of, and of the class itself."""
    if isinstance(member, griffe.Alias):
        return False
    if member.name.startswith("_"):
        return member.name in _SHOWN_DUNDERS and member.docstring is not None
    return member.docstring is not None or isinstance(member, griffe.Attribute)


def is_declared(field: griffe.Attribute) -> bool:
    """Whether a field says of what type it is or what it means; what a constructor merely keeps does not."""
    return field.annotation is not None or field.docstring is not None or "class-attribute" in field.labels


def returns_text(docstring: str) -> str:
    """What stands below ``Returns:``. It is prose here, in which griffe would take what precedes a colon for a type."""
    below = re.search(r"^Returns:\n((?:[ ]+.*\n?)+)", docstring, re.MULTILINE)
    return " ".join(below[1].split()) if below else ""


def default_text(value: str | griffe.Expr) -> str:
    """A default as the reader should see it: a name of ours by what it stands for, a factory by what it makes."""
    if isinstance(value, griffe.ExprName):
        with contextlib.suppress(KeyError, griffe.AliasResolutionError):
            named = value.parent.modules_collection[value.canonical_path]
            if isinstance(named.value, str):
                return named.value
    return re.sub(r"field\(default_factory=(?:lambda: )?(\w+)(?:\(.*\))?\)", r"\1()", str(value))


def signature(function: griffe.Function, path: str, *, of_class: bool = False) -> str:
    """As it would be written in the source, without ``self``; on several lines where it is long."""
    parts = [*parameters(function)]
    gives = "" if of_class or function.returns is None else f" -> {function.returns}"
    kind = "class " if of_class else "classmethod " if "classmethod" in function.labels else ""
    start = f"{kind}{path}"
    line = f"{start}({', '.join(parts)}){gives}"
    if len(line) <= _LINE_MAX:
        return line
    return "\n".join([f"{start}(", *(f"    {part}," for part in parts), f"){gives}"])


def parameters(function: griffe.Function) -> Iterator[str]:
    """Each parameter with its annotation and default, and the bare star before those that must be named."""
    starred = False
    for parameter in function.parameters:
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is griffe.ParameterKind.keyword_only and not starred:
            starred = True
            yield "*"
        annotation = "" if parameter.annotation is None else f": {parameter.annotation}"
        default = "" if parameter.default is None else f" = {default_text(parameter.default)}"
        yield f"{parameter.name}{annotation}{default}"


def code(text: str) -> Iterator[str]:
    """A block of code that is no example to run."""
    yield from ("```py", text, "```")


def main() -> int:
    """Write the page, or check it; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write docs/api.md from the docstrings of edgeseg.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 unless the page is current")
    text = page()
    if parser.parse_args().check:
        return 0 if TARGET.read_text(encoding="utf-8") == text else 1
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
