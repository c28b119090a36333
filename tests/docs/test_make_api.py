"""docs/api.md: it is what the docstrings say now, all public names are in it, and Google's sections become lists."""

from __future__ import annotations

import griffe
import pytest

import edgeseg
from docs.make_api import SECTIONS, TARGET, Writer, page

SOURCE = '''
class Kettle(Vessel):
    """Heats water.

    It whistles; see `Lid`.

    Args:
        litres: how much it
            holds.
    """

    litres: float = 1.5
    """As bought."""

    def __init__(self, litres: float = 1.5) -> None: ...

    def boil(self, degrees: int, *, quietly: bool = False) -> float:
        """Heat it; ``degrees`` of Celsius.

        Args:
            degrees: where to stop.

        Returns:
            Seconds: it took so many.

        Raises:
            DryError, LidError: there is no water, or no lid.
        """

    def _leak(self) -> None:
        """Nobody needs to know."""
'''
EXPECTED = """### Kettle

```py
class edgeseg.Kettle(litres: float = 1.5)
```

Heats water.

It whistles; see [`Lid`](#lid).

**Parameters**

- `litres`: how much it holds.

- `litres: float = 1.5` - As bought.

#### Kettle.boil

```py
boil(degrees: int, *, quietly: bool = False) -> float
```

Heat it; `degrees` of Celsius.

**Parameters**

- `degrees`: where to stop.

**Returns**

Seconds: it took so many.

**Raises**

- `DryError, LidError`: there is no water, or no lid.
"""


def test_page_is_current():
    """docs/api.md is what `python docs/make_api.py` writes."""
    assert TARGET.read_text(encoding="utf-8") == page()


def test_every_public_name_has_an_entry():
    """All of `edgeseg.__all__` is on the page, and nothing is there twice."""
    names = [name for section in SECTIONS for name in section.names]

    assert set(edgeseg.__all__) <= set(names)
    assert len({name.rpartition(".")[2] for name in names}) == len(names)


def test_an_entry_has_signature_docstring_and_members():
    """Sections of a docstring become lists, names with an entry become links, and what is private is left out."""
    with griffe.temporary_visited_module(SOURCE) as module:
        lines = Writer({"Lid", "Kettle"}).entry(module["Kettle"], "edgeseg.Kettle")

        assert "\n".join(lines) == EXPECTED


def test_only_classes_and_functions_have_entries():
    """A plain value has no docstring of its own to show."""
    with griffe.temporary_visited_module("limit = 3") as module, pytest.raises(TypeError, match="only classes and functions"):
        list(Writer(set()).entry(module["limit"], "edgeseg.limit"))
