"""What the globals in a pickle of NumPy arrays mean: NumPy's constructors, done here by hand after checking what they are given."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeseg.types import AnyArray

_DIMENSIONS_MAX = 8
_NUMBERS = re.compile(r"f[248]|[iu][1248]|b1")
_LATIN_1 = "latin1"


class ArraysError(Exception):
    """A pickle holds what is no array of numbers; the text goes on after "refused, because"."""


@dataclass(frozen=True)
class StandIn:
    """Takes the place of a global of Python."""

    build: Callable[..., object]
    """Takes the `Arrays` and the arguments that the file gives to the global."""


class _Type:
    """A ``numpy.dtype`` whose byte order comes after it."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.order = "="

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The finished type."""
        return np.dtype(self.order + self.code)


class Arrays:
    """Builds the arrays of one file. Operands that no pickler writes end in a TypeError or ValueError."""

    def __init__(self, file_bytes: int) -> None:
        # No honest file has arrays larger than itself; one that refers to the same bytes again and again does.
        self._bytes_left = file_bytes

    def find(self, module: str, name: str) -> StandIn:
        """What stands for a global.

        Raises:
            ArraysError: it is none of the few that arrays need; its name is given.
        """
        if (module, name) not in _GLOBALS:
            raise ArraysError(
                f"besides weights it holds Python objects ({_printable(f'{module}.{name}')}) that could run code when loaded. Ask its "
                'author for plain NumPy arrays: {"model": {name: array}}'
            )
        return _GLOBALS[module, name]

    def set_state(self, target: object, state: object) -> None:
        """Complete a type or an array with what pickle noted of it. Of a dict that would be the notes of torch, which say nothing."""
        if isinstance(target, dict):
            return
        if not isinstance(state, tuple):
            raise TypeError(type(state))
        if isinstance(target, _Type):
            _, order, *records = state[:5]
            if not isinstance(order, str) or order not in ("<", ">", "=", "|") or any(part is not None for part in records):
                raise ArraysError("it holds arrays of records, not of plain numbers")
            target.order = order
        elif isinstance(target, np.ndarray) and target.shape == (0,):
            _, shape, kind, fortran, data = state
            self._fill(target, shape, kind, data, fortran=fortran is True)
        else:
            raise TypeError(type(target))

    def type(self, code: object, *_flags: object) -> _Type:
        """``numpy.dtype``, of a code such as f4."""
        if not isinstance(code, str):
            raise TypeError(type(code))
        if not _NUMBERS.fullmatch(code):
            raise ArraysError(f"it holds arrays of type {_printable(code)}, not of plain numbers")
        return _Type(code)

    def empty(self, kind: object, *_placeholders: object) -> AnyArray:
        """``_reconstruct``: an array whose shape and values come after it."""
        if kind is not _NDARRAY:
            raise TypeError(type(kind))
        return np.empty(0, np.float32)

    def scalar(self, kind: object, data: object) -> AnyArray:
        """``scalar``: a number of a NumPy type, as an array of no dimension."""
        array = np.empty(0, np.float32)
        self._fill(array, (), kind, data)
        return array

    def from_buffer(self, data: object, kind: object, shape: object, order: object, axes: Any = None) -> AnyArray:
        """``_frombuffer`` of protocol 5; ``axes`` says how to transpose an array of order K."""
        array = np.empty(0, np.float32)
        self._fill(array, shape, kind, data, fortran=isinstance(order, str) and order == "F")
        return array if axes is None else array.transpose(axes)

    def encoded(self, text: object, encoding: object) -> bytes:
        """``_codecs.encode``: how protocol 2 writes bytes, as text whose characters they are."""
        if not isinstance(text, str) or encoding != _LATIN_1:
            raise TypeError(type(text))
        self._spend(len(text))
        return text.encode(_LATIN_1)

    def no_bytes(self) -> bytes:
        """``bytes``: how protocol 2 writes an empty byte string."""
        return b""

    def ordered_dict(self) -> dict[object, object]:
        """``OrderedDict``, which every dict is."""
        return {}

    def _fill(self, array: AnyArray, shape: object, kind: object, data: object, *, fortran: bool = False) -> None:
        """Give an array its shape, type and values, once these agree."""
        if not isinstance(shape, tuple) or len(shape) > _DIMENSIONS_MAX or any(type(side) is not int or side < 0 for side in shape):
            raise TypeError(type(shape))
        if not isinstance(kind, _Type) or not isinstance(data, str | bytes | memoryview):
            raise TypeError(type(kind))
        if len(data) != math.prod(shape) * kind.dtype.itemsize:
            raise ValueError(len(data))
        self._spend(len(data))
        content = data.encode(_LATIN_1) if isinstance(data, str) else bytes(data)
        array.__setstate__((1, shape, kind.dtype, fortran, content))

    def _spend(self, size: int) -> None:
        """Account for a copy of some of the file's bytes."""
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise ArraysError("its arrays are larger than the file itself; it is damaged or unsafe")


def _printable(text: str) -> str:
    """Text that nobody vouches for, fit for a terminal."""
    return ascii(text[:100])[1:-1]


def _never(arrays: Arrays, *_: object) -> object:
    raise TypeError(arrays)


_NDARRAY = StandIn(_never)
"""``numpy.ndarray``: only ever an argument."""
_GLOBALS = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): StandIn(Arrays.type),
    ("_codecs", "encode"): StandIn(Arrays.encoded),
    ("__builtin__", "bytes"): StandIn(Arrays.no_bytes),
    ("collections", "OrderedDict"): StandIn(Arrays.ordered_dict),
}
"""Module and name -> stand-in. NumPy 2 renamed its core."""
for _core in ("numpy.core", "numpy._core"):
    _GLOBALS[f"{_core}.multiarray", "_reconstruct"] = StandIn(Arrays.empty)
    _GLOBALS[f"{_core}.multiarray", "scalar"] = StandIn(Arrays.scalar)
    _GLOBALS[f"{_core}.numeric", "_frombuffer"] = StandIn(Arrays.from_buffer)
