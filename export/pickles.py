"""Pickles of NumPy arrays, as detectron2 publishes weights, read by a machine that can build arrays and plain values and nothing else.

Python's own unpickler imports and calls what a file names, and takes memory on the file's word. This one knows the instructions
of protocols 2 to 5 that such files use. Functions written here stand in for the few admitted globals, so nothing that a file
names is ever looked up, and memory stays within a small multiple of the file's size.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from edgeseg.errors import CheckpointError

from .pickled_arrays import Arrays, ArraysError, StandIn

# A file of 1000 arrays takes some 30,000.
_INSTRUCTIONS_MAX = 500_000
_NAME_BYTES_MAX = 256
_INTEGER_BYTES_MAX = 8
_PROTO, _STOP = 0x80, ord(".")
_HEADERS = tuple(bytes((_PROTO, protocol)) for protocol in range(2, 6))
_ADVICE = "Download or copy it again; if it is a file of PyTorch, name it .pth"
# What operands that no pickler writes lead to.
_MISUSE = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, struct.error)


def read_pickle(path: Path) -> object:
    """What a pickle holds: dicts, lists, tuples, text, numbers and arrays of numbers; byte strings as bytes or memoryview.

    Raises:
        CheckpointError: the file is no pickle of protocol 2 to 5, is damaged, or holds anything else, which is named.
    """
    data = memoryview(path.read_bytes())
    if bytes(data[:2]) not in _HEADERS:
        raise CheckpointError(f"{path}: is not a pickle of NumPy arrays (protocol 2 to 5). {_ADVICE}")
    try:
        return _Machine(data).run()
    except ArraysError as error:
        raise CheckpointError(f"{path}: refused, because {error}") from error
    except _MISUSE as error:
        raise CheckpointError(
            f"{path}: cannot be read as a pickle of NumPy arrays; it is damaged, cut short or something else. {_ADVICE}"
        ) from error


class _Machine:
    """A pickle that is being read: a stack, the marks on it, and the values that later instructions refer to."""

    def __init__(self, data: memoryview) -> None:
        self.stack: list[object] = []
        self.marks: list[int] = []
        self._data = data
        self._position = 0
        self._memo: dict[int, object] = {}
        self._arrays = Arrays(len(data))

    def run(self) -> object:
        """Follow the instructions to the last one; returns the value that they build."""
        for _ in range(_INSTRUCTIONS_MAX):
            code = self.take(1)[0]
            if code == _STOP:
                return self.pop()
            if code not in _INSTRUCTIONS:
                raise ArraysError(f"its pickle has an instruction (0x{code:02x}) that no file of weights needs; it is damaged or unsafe")
            _INSTRUCTIONS[code](self)
        raise ArraysError(f"its pickle has more than {_INSTRUCTIONS_MAX} instructions, which no file of weights needs")

    def take(self, size: int) -> memoryview:
        """The next bytes of the file, not copied. A claim beyond the end costs nothing."""
        if not 0 <= size <= len(self._data) - self._position:
            raise ValueError(size)
        self._position += size
        return self._data[self._position - size : self._position]

    def number(self, layout: str) -> int:
        """The next number of the file, laid out as `struct` calls it."""
        value: int = struct.unpack(layout, self.take(struct.calcsize(layout)))[0]
        return value

    def push(self, value: object) -> None:
        self.stack.append(value)

    def push_text(self, layout: str, encoding: str) -> None:
        self.push(str(self.take(self.number(layout)), encoding))

    def push_integer(self) -> None:
        size = self.number("<B")
        if size > _INTEGER_BYTES_MAX:
            raise ValueError(size)
        self.push(int.from_bytes(self.take(size), "little", signed=True))

    def pop(self) -> object:
        """The value on top; those below the last mark are out of reach."""
        if self.marks and len(self.stack) <= self.marks[-1]:
            raise IndexError(self.marks[-1])
        return self.stack.pop()

    def pop_to_mark(self) -> list[object]:
        """All values above the last mark."""
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def push_tuple(self, size: int) -> None:
        self.push(tuple([self.pop() for _ in range(size)][::-1]))

    def remember(self, index: int) -> None:
        self._memo[index] = self.stack[-1]

    def remember_next(self) -> None:
        self.remember(len(self._memo))

    def recall(self, index: int) -> None:
        self.push(self._memo[index])

    def extend(self, values: list[object]) -> None:
        """Append values to the list below them."""
        target = self.stack[-1]
        if type(target) is not list:
            raise TypeError(type(target))
        target.extend(values)

    def update(self, items: list[object]) -> None:
        """Put keys and values, in turn, into the dict below them. Only text and numbers: nested tuples may take for ever to hash."""
        target, keys, values = self.stack[-1], items[::2], items[1::2]
        if type(target) is not dict or not {type(key) for key in keys} <= {str, int}:
            raise TypeError(type(target))
        target.update(zip(keys, values, strict=True))

    def find_line(self) -> None:
        """A global whose module and name stand on the next two lines."""
        ahead = bytes(self._data[self._position : self._position + 2 * _NAME_BYTES_MAX])
        module, name, _ = ahead.split(b"\n", 2)
        self.take(len(module) + len(name) + 2)
        self.push(self._arrays.find(str(module, "utf-8"), str(name, "utf-8")))

    def find_stacked(self) -> None:
        """A global whose module and name were pushed."""
        name, module = self.pop(), self.pop()
        if type(module) is not str or type(name) is not str:
            raise TypeError(type(name))
        self.push(self._arrays.find(module, name))

    def call(self) -> None:
        """Replace a stand-in and its arguments by what the global would have made of them."""
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, StandIn) or type(arguments) is not tuple:
            raise TypeError(type(function))
        self.push(function.build(self._arrays, *arguments))

    def set_state(self) -> None:
        state = self.pop()
        self._arrays.set_state(self.stack[-1], state)


_INSTRUCTIONS: dict[int, Callable[[_Machine], object]] = {
    _PROTO: lambda m: m.take(1),
    0x95: lambda m: m.take(8),  # FRAME, which only helps to read ahead
    ord("("): lambda m: m.marks.append(len(m.stack)),
    ord("N"): lambda m: m.push(None),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    ord("J"): lambda m: m.push(m.number("<i")),
    ord("K"): lambda m: m.push(m.number("<B")),
    ord("M"): lambda m: m.push(m.number("<H")),
    0x8A: _Machine.push_integer,
    ord("G"): lambda m: m.push(m.number(">d")),
    ord("U"): lambda m: m.push_text("<B", "latin-1"),
    ord("T"): lambda m: m.push_text("<i", "latin-1"),
    0x8C: lambda m: m.push_text("<B", "utf-8"),
    ord("X"): lambda m: m.push_text("<I", "utf-8"),
    0x8D: lambda m: m.push_text("<Q", "utf-8"),
    ord("C"): lambda m: m.push(m.take(m.number("<B"))),
    ord("B"): lambda m: m.push(m.take(m.number("<I"))),
    0x8E: lambda m: m.push(m.take(m.number("<Q"))),
    0x96: lambda m: m.push(m.take(m.number("<Q"))),
    ord(")"): lambda m: m.push_tuple(0),
    0x85: lambda m: m.push_tuple(1),
    0x86: lambda m: m.push_tuple(2),
    0x87: lambda m: m.push_tuple(3),
    ord("t"): lambda m: m.push(tuple(m.pop_to_mark())),
    ord("]"): lambda m: m.push([]),
    ord("a"): lambda m: m.extend([m.pop()]),
    ord("e"): lambda m: m.extend(m.pop_to_mark()),
    ord("}"): lambda m: m.push({}),
    ord("s"): lambda m: m.update([m.pop(), m.pop()][::-1]),
    ord("u"): lambda m: m.update(m.pop_to_mark()),
    ord("q"): lambda m: m.remember(m.number("<B")),
    ord("r"): lambda m: m.remember(m.number("<I")),
    0x94: _Machine.remember_next,
    ord("h"): lambda m: m.recall(m.number("<B")),
    ord("j"): lambda m: m.recall(m.number("<I")),
    ord("c"): _Machine.find_line,
    0x93: _Machine.find_stacked,
    ord("R"): _Machine.call,
    ord("b"): _Machine.set_state,
}
"""Byte -> what it does; `pickletools` explains them. Byte strings of Python 2 become text, as ``encoding="latin1"`` makes them."""
