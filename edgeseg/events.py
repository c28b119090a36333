"""What happens while something runs: a line for people that programs can read as well."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

# As libraries do: nothing is printed unless the program that uses edgeseg sets up logging.
logging.getLogger("edgeseg").addHandler(logging.NullHandler())


class Event(str):
    """A line with a name that stays the same, a level and figures. Whoever takes plain lines can take it.

    Args:
        name: ``subject.what``, from the table in docs/service.md.
        text: the line for people.
        level: of Python's logging.
        fields: what the line says, as values that JSON can hold: durations in seconds, names without passwords.
    """

    __slots__ = ("fields", "level", "name")

    fields: dict[str, Any]
    level: int
    name: str

    def __new__(cls, name: str, text: str, level: int = logging.INFO, **fields: Any) -> Event:
        self = super().__new__(cls, text)
        self.name, self.level, self.fields = name, level, fields
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[str, str, int], dict[str, Any]]:
        """Copied and sent to other processes, it stays what it is."""
        return (self.name, str(self), self.level), self.fields


def to_log(logger: str) -> Callable[[str], None]:
    """Takes lines for the log of that name: events at their level, others as warnings. Nobody sees them who has not set up logging."""
    log = logging.getLogger(logger)
    return lambda line: log.log(line.level if isinstance(line, Event) else logging.WARNING, line)
