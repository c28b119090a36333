"""A small picture of each stream, made in rounds for all who look at the overview."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeseg.sinks.web.gallery import PICTURES_PER_S
from edgeseg.sinks.web.picture import jpeg_of, limited
from edgeseg.sinks.web.show import Show
from edgeseg.types import Result

TILE_SIDE = 480
"""Longer side of the small pictures, pixels."""
_ROUND_S = 0.2


@dataclass(frozen=True, repr=False)
class Tile:
    """The small picture of one stream."""

    round: int
    """The round in which it was made."""
    made_of: tuple[Result, float]
    """The result, and what it was limited to."""
    jpeg: bytes


class Wall:
    """The tiles of all streams. Belongs to the server's event loop; nothing is encoded while nobody looks.

    A round makes the tiles whose stream has a new frame, no more than `PICTURES_PER_S` in a second.
    """

    def __init__(self, shows: Sequence[Show]) -> None:
        self._shows = shows
        self._tiles: list[Tile | None] = [None] * len(shows)
        self._pace_s = max(_ROUND_S, len(shows) / PICTURES_PER_S)
        self._round: asyncio.Task[None] | None = None
        self._next_s = 0.0
        self.number = 0
        """Counts the rounds, from 1."""

    async def after(self, number: int) -> tuple[dict[str, Any], list[bytes]]:
        """Facts of all streams once there was a round other than ``number``, and the tiles that were made since that one."""
        while self.number in (0, number):
            if self._round is None or self._round.done():
                self._round = asyncio.create_task(self._make_round())
            # All viewers wait for the same one; one that leaves does not take it away from the others.
            await asyncio.shield(self._round)
        # A number from the future is that of an earlier run.
        since = number if number < self.number else 0
        fresh = [b"" if tile is None or tile.round <= since else tile.jpeg for tile in self._tiles]
        streams = [{**_facts(show), "bytes": len(jpeg)} for show, jpeg in zip(self._shows, fresh, strict=True)]
        return {"number": self.number, "streams": streams}, fresh

    async def _make_round(self) -> None:
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._next_s - clock()))
        self._next_s = clock() + self._pace_s
        for place, show in enumerate(self._shows):
            self._tiles[place] = self._fresh(show, self._tiles[place])
            await asyncio.sleep(0)  # other requests go between
        self.number += 1

    def _fresh(self, show: Show, tile: Tile | None) -> Tile | None:
        newest, least = show.gallery.newest, show.gallery.least
        if newest is None or (tile is not None and tile.made_of[0] is newest[1] and tile.made_of[1] == least):
            return tile
        return Tile(self.number + 1, (newest[1], least), jpeg_of(newest[0], limited(newest[1], least), TILE_SIDE))


def _facts(show: Show) -> dict[str, Any]:
    """What a tile shows beside its picture."""
    newest, condition = show.gallery.newest, show.condition()
    # What a stream was like while it lived says nothing of now.
    result = newest[1] if newest is not None and condition.kind == "live" else None
    return {
        "stream": show.channel.number,
        "source": show.channel.source,
        "kind": condition.kind,
        "says": condition.says,
        "rate": None if result is None else show.metrics.rate,
        "age_ms": None if result is None else result.age_s * 1e3,
        "instances": None if result is None or result.instances is None else int((result.instances.scores >= show.gallery.least).sum()),
        "drops": show.metrics.drops,
        "recording": show.is_recording,
    }
