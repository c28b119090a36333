"""What a peer is: something of others that finds instances in a frame, timed beside edgeseg in the same run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.types import U8Array
from export.recipes.base import Recipe

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, repr=False)
class Subject:
    """What a case measures, so that a peer can do the same."""

    recipe: Recipe | None
    """As exported; None where the case has a bundle."""
    net: nn.Module | None
    """Its net with weights."""
    score: float
    """Instances must score more."""
    found: int | None
    """About so many pass in edgeseg; a peer with another net sets its own threshold after this."""
    picture: U8Array
    """A frame of the case, uint8 (H, W, 3) BGR."""
    folder: Path
    """Where a peer may write what it needs, until the end of the run."""


@dataclass(frozen=True)
class Answer:
    """What came out of one frame."""

    found: int
    """Instances whose masks were made, in the size of the frame, and encoded as run-length code."""
    spans: Mapping[str, float]
    """Stage name -> seconds: ``infer`` and ``total``, where they can be told apart; else empty."""


@dataclass(frozen=True, repr=False)
class Opened:
    """A peer that is ready."""

    run: Callable[[U8Array], Answer]
    """Takes a frame, uint8 (H, W, 3) BGR."""
    facts: Mapping[str, Any]
    """Versions and hashes, for the record."""


@dataclass(frozen=True)
class Peer:
    """One line of the table."""

    same: str
    """What is equal to what edgeseg does beside it."""
    differs: str
    """What is not."""
    needs_net: bool
    """Whether it runs the case's own net."""
    open: Callable[[Subject], Opened]
    """Raises ImportError where its package is absent: then it is left out. UsageError where it cannot run the case's net."""
