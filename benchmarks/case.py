"""Cases: what is measured side by side, as benchmarks/cases.toml says it. Each key is checked before anything is measured."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from edgeseg.backends import BACKENDS
from edgeseg.bundle import MANIFEST
from edgeseg.cli.turns import parse_run
from edgeseg.errors import MissingDependencyError, UsageError
from edgeseg.model import DEFAULT_SCORE
from edgeseg.types import SizeHW
from export.recipes import recipe
from export.recipes.base import ExportOptions

from .peers import PEERS

ROOT = Path(__file__).parent.parent
SOURCES = ("picture", "synthetic")
_OF_THE_GRAPH = {"proposals", "detections", "min_score", "cross_class_nms"}
"""Options of an export that make its post-processing do less, or more, than that of peers."""


@dataclass(frozen=True)
class Case:
    """One table of the file; its fields are the keys."""

    what: str
    """A line for people."""
    source: str
    """``picture``: the same shipped one again and again; ``synthetic``: a scene that moves."""
    source_size: SizeHW
    """Height and width of the frames."""
    contenders: tuple[str, ...]
    """Backend and precision of each, as ``openvino int8``. Ratios are to the first."""
    rounds: int
    """Frames that each contender gets, in turns."""
    warm_up: int
    """Frames before, kept apart."""
    bundle: str | None = None
    """A bundle's folder, from the root of the checkout. Either this or ``net``."""
    net: str | None = None
    """A recipe, exported for the case."""
    weights: str | None = None
    """Its checkpoint; without, deterministic filler."""
    export: Mapping[str, Any] = field(default_factory=dict)
    """Options of the export, by the names of `ExportOptions`."""
    run: str = "every"
    """How the stream is processed, as in ``edgeseg bench --run``."""
    score: float = DEFAULT_SCORE
    """Instances must score more."""
    found: int | None = None
    """Instead of ``score``: the threshold is such that about so many instances pass, in nets that know nothing."""
    peers: tuple[str, ...] = ()
    """Names of `benchmarks.peers.PEERS`."""

    @property
    def options(self) -> ExportOptions:
        """What ``export`` asks for."""
        return ExportOptions(**{name: tuple(value) if isinstance(value, list) else value for name, value in self.export.items()})


def read_cases(file: Path) -> dict[str, Case]:
    """All cases of a file by name.

    Raises:
        MissingDependencyError: nothing reads TOML here.
        UsageError: it cannot be read, or a key of a case is missing, unknown or wrong; names case and key.
    """
    name = "tomllib" if sys.version_info >= (3, 11) else "tomli"
    try:
        toml = importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError.for_extra(name, "dev", error) from error
    try:
        content = toml.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read as TOML: {error}") from error
    return {name: _case(name, given) for name, given in content.items()}


def _case(name: str, given: Any) -> Case:
    if not isinstance(given, dict):
        raise UsageError(f"{name!r} stands outside of a case: begin it with a line [NAME]")
    known = {one.name: one for one in fields(Case)}
    for key in given:
        if key not in known:
            raise UsageError(f"case {name}: there is no key {key!r}; there are {', '.join(known)}")
    for key, one in known.items():
        if key not in given and one.default is MISSING and one.default_factory is MISSING:
            raise UsageError(f"case {name}: {key!r} is missing")
    return _together(name, Case(**{key: _value(name, key, value) for key, value in given.items()}))


def _value(name: str, key: str, value: Any) -> Any:
    is_right, words = _RIGHT[key]
    try:
        right = is_right(value)
    except (UsageError, TypeError) as error:
        raise UsageError(f"case {name}, key {key!r}: {error}") from error
    if not right:
        raise UsageError(f"case {name}, key {key!r}: must be {words}, got {value!r}")
    return tuple(value) if isinstance(value, list) else value


def _together(name: str, case: Case) -> Case:
    """Keys that are right alone may not go together."""
    if (case.bundle is None) == (case.net is None):
        raise UsageError(f"case {name}: give either 'bundle' or 'net'")
    if case.bundle is not None and (case.weights is not None or case.export):
        raise UsageError(f"case {name}: 'weights' and 'export' go with 'net', not with 'bundle'")
    if case.found is not None and (case.score != DEFAULT_SCORE or case.source != "picture"):
        raise UsageError(f"case {name}: 'found' takes the place of 'score' and goes with source = \"picture\"")
    if case.peers and case.run != "every":
        raise UsageError(f"case {name}: peers process every frame anew; leave 'run' out")
    if case.peers and (own := sorted(_OF_THE_GRAPH & case.export.keys())):
        raise UsageError(f"case {name}: peers work as the original does; leave {own[0]!r} out of 'export'")
    for peer in case.peers:
        if case.net is None and PEERS[peer].needs_net:
            raise UsageError(f"case {name}, key 'peers': {peer!r} runs the case's own net, which a bundle does not hold; give 'net'")
    return case


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_is_whole(side, 1) for side in value)


def _is_contenders(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and len(set(value)) == len(value) and all(map(_is_contender, value))


def _is_contender(value: Any) -> bool:
    words = value.split() if isinstance(value, str) else ()
    return len(words) == 2 and words[0] in BACKENDS


def _is_run(value: Any) -> bool:
    # Overlapped frames are not timed one at a time.
    return _is_text(value) and not parse_run(value).settings.overlap


_SIDES = "[height, width] in whole pixels"
_RIGHT: dict[str, tuple[Callable[[Any], bool], str]] = {
    "what": (_is_text, "a text"),
    "source": (lambda value: value in SOURCES, f"one of {', '.join(SOURCES)}"),
    "source_size": (_is_size, _SIDES),
    "contenders": (_is_contenders, f"a list of different texts BACKEND PRECISION, with a backend of {', '.join(BACKENDS)}"),
    "rounds": (lambda value: _is_whole(value, 1), "a whole number, 1 or more"),
    "warm_up": (lambda value: _is_whole(value, 1), "a whole number, 1 or more"),
    "bundle": (lambda value: _is_text(value) and (ROOT / value / MANIFEST).is_file(), "a bundle's folder, from the root of the checkout"),
    "net": (lambda value: _is_text(value) and recipe(value) is not None, "a recipe of 'edgeseg export --list'"),
    "weights": (lambda value: _is_text(value) and Path(value).is_file(), "a checkpoint that is there"),
    "export": (lambda value: isinstance(value, dict) and ExportOptions(**value) is not None, "a table of options of 'edgeseg export'"),
    "run": (_is_run, "SCHEDULE[+warp|+propagate][+track][+smooth][+faithful]"),
    "score": (lambda value: isinstance(value, float) and 0 <= value <= 1, "a number from 0.0 to 1.0"),
    "found": (lambda value: _is_whole(value, 1), "a whole number, 1 or more"),
    "peers": (lambda value: isinstance(value, list) and all(one in PEERS for one in value), f"a list of {', '.join(PEERS)}"),
}
"""Key -> whether a value is right, and what it must be in words."""
