"""docs/benchmarks.md, made from the records in benchmarks/results.

python -m benchmarks.document          (writes it)
python -m benchmarks.document --check  (says whether it is what the records make)
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path

from .sections import SECTIONS, Records, lines

RESULTS = Path(__file__).parent / "results"
DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_HEAD = """<!-- Made by `python -m benchmarks.document` from benchmarks/results. Edit benchmarks/sections instead. -->
# Benchmarks

Every number here comes from a record in [benchmarks/results](../benchmarks/results), which keeps single durations, the warm-up apart, and
the conditions. Benchmarks run from a checkout with the extras `cpu`, `export` and `eval`;
[benchmarks/README.md](../benchmarks/README.md) says how each is made.

- One frame at a time, as in MLPerf's single stream: the next is asked for when the result of the last is complete, its masks encoded.
- Contenders take turns, and ratios are taken round by round, because machines drift. Trust ratios more than milliseconds.
  A ratio is given as its median, or its mean over clips, with the quartiles.
- A p99 of fewer than 459 rounds says little, and one of a machine that was not idle says little about an idle one.

Not measured: a Jetson, engines of TensorRT or TensorRT-RTX on a GPU, energy, and the official weights on their data sets. None of them was
at hand.

![How long single frames take: every duration as a dot, medians as lines, edgeseg in blue and its peers in orange](benchmarks_frames.png)
"""
_OTHERS = "## Other records"


def main() -> int:
    """Write or check; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.document", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the document is not up to date")
    made = document(read_records(RESULTS))
    if not parser.parse_args().check:
        DOCUMENT.write_text(made, encoding="utf-8")
        print(f"wrote {DOCUMENT}")
    elif not DOCUMENT.is_file() or DOCUMENT.read_text(encoding="utf-8") != made:
        print(f"{DOCUMENT} is not what the records make. Run: python -m benchmarks.document")
        return 1
    return 0


def read_records(folder: Path) -> Records:
    """All records of a folder, by their names without ``.json``."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))}


def document(records: Records) -> str:
    """The whole text: a head, the sections whose records are there, and the names of records that no section shows."""
    sections = {section.title: list(lines(section, records)) for section in SECTIONS}
    contents = [f"- [{title}](#{_anchor(title)})" for title, text in sections.items() if text]
    text = [_HEAD, *contents, "", *(line for section in sections.values() for line in section), *_others(records)]
    return "\n".join(text).rstrip() + "\n"


def _anchor(title: str) -> str:
    """What a heading is called in links."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _others(records: Records) -> Iterator[str]:
    shown = {name for section in SECTIONS for name in section.records}
    if others := [name for name in records if name not in shown]:
        yield from (_OTHERS, "", ", ".join(f"[{name}.json](../benchmarks/results/{name}.json)" for name in others))


if __name__ == "__main__":
    raise SystemExit(main())
