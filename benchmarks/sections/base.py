"""What a section of docs/benchmarks.md is, and how its numbers, tables and machines are written."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgeseg.benchmark.doubts import LOADED

Record = Mapping[str, Any]
"""One file of benchmarks/results."""
Records = Mapping[str, Record]
"""Name of a file without ``.json`` -> what it holds; those that are there."""

_WIDTH = 150
_TOLD = ("openvino", "onnxruntime", "onnxruntime-gpu", "torch", "torchvision", "ultralytics", "numpy")
"""Packages that a line about a machine names."""


@dataclass(frozen=True)
class Section:
    """One heading of the document."""

    title: str
    about: str
    """What is measured and how to read it: nothing that another run of the same benchmark could make untrue."""
    records: tuple[str, ...]
    """Files that it shows, by their names without ``.json``. Where none of them is there, the section is left out."""
    repeat: tuple[str, ...]
    """Commands, run from the root of a checkout."""
    body: Callable[[Records], Iterator[str]]
    """Lines of Markdown, of the records that are there."""


def lines(section: Section, records: Records) -> Iterator[str]:
    """A section in Markdown."""
    there = {name: records[name] for name in section.records if name in records}
    if not there:
        return
    yield from (f"## {section.title}", "", textwrap.fill(section.about, _WIDTH, break_on_hyphens=False), "")
    yield from section.body(there)
    files = ", ".join(f"[{name}.json](../benchmarks/results/{name}.json)" for name in there)
    yield from (f"{'Record' if len(there) == 1 else 'Records'}: {files}. To repeat it:", "")
    yield from (f"    {command}" for command in section.repeat)
    yield ""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """A table and the empty line after it."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    yield from (f"| {' | '.join(map(str, row))} |" for row in rows)
    yield ""


def machine(conditions: Record) -> Iterator[str]:
    """The line that names a machine, what ran on it, and whether it had other work."""
    yield from machines({"": conditions})


def machines(conditions: Records) -> Iterator[str]:
    """Lines as of `machine`, of records by their names; those that were made on one machine with the same packages share a line."""
    alike: dict[str, list[str]] = {}
    for name, one in conditions.items():
        alike.setdefault(_place(one), []).append(name)
    for place, names in alike.items():
        label = f" ({', '.join(names)})" if len(conditions) > 1 else ""
        loads = [conditions[name]["load_1_min"] for name in names if conditions[name].get("load_1_min") is not None]
        yield f"Machine{label}: {place}{_loads(loads, conditions[names[0]]['cores'])}."
        yield ""


def _place(conditions: Record) -> str:
    packages = conditions.get("packages", {})
    versions = ", ".join([f"Python {conditions['python']}", *(f"{one} {packages[one]}" for one in _TOLD if one in packages)])
    return f"{conditions['cpu']}, {conditions['cores']} cores; {versions}"


def _loads(loads: Sequence[float], cores: int) -> str:
    if not loads:
        return ""
    busy = ": **other work shortly before or meanwhile**" if max(loads) > LOADED * cores else ""
    return f"; load average at the beginning {', '.join(f'{load:.1f}' for load in loads)} on {cores} processors{busy}"


def ms(value: float) -> str:
    """Milliseconds with three digits or so."""
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 1 else f"{value:.2f} ms"


def ratio(found: Mapping[str, float]) -> str:
    """The median, or the mean where that is what there is, and the quartiles."""
    middle = found["median"] if "median" in found else found["mean"]
    return f"{middle:.2f} ({found['lower_quartile']:.2f} to {found['upper_quartile']:.2f})"


def percent(part: float, digits: int = 0) -> str:
    """A part of a whole."""
    # Nothing is not written as -0.
    return f"{round(100 * part, digits) + 0.0:.{digits}f} %"


def rounds(timings: Mapping[str, Record]) -> str:
    """How often contenders were timed."""
    one = next(iter(timings.values()))
    return f"{len(one['values_ms'])} rounds after {len(one['warm_up_ms'])} of warm-up."
