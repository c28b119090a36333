"""Pickles of arrays: what is read, and that whatever else a file may hold is refused without running or allocating anything."""

from __future__ import annotations

import builtins
import codecs
import collections
import contextlib
import copyreg
import datetime as dt
import functools
import os
import pickle
import random
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgeseg.errors import CheckpointError
from export import pickles
from export.pickles import read_pickle
from export.weight_files import _read, _unwrapped

PROTOCOLS = (2, 3, 4, 5)
ARRAYS = {
    "plain": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "half": np.linspace(-2, 2, 5).astype(np.float16),
    "double": np.array(np.pi),
    "big_endian": np.arange(5, dtype=">f4"),
    "integers": np.array([-1, 2**40]),
    "bytes": np.array([[0, 255]], np.uint8),
    "flags": np.array([True, False]),
    "empty": np.zeros((0, 3), np.float32),
    "columns_first": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "axes_turned": np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
    "strided": np.arange(24, dtype=np.float32).reshape(4, 6)[:, ::2],
    "scalar": np.float32(0.1),
}
MEMORY_TIMES_FILE = 6
MEMORY_BASE = 300_000
"""Bytes that reading may take beside the multiple of the file's size."""


def _file(content: bytes, folder: Path) -> Path:
    path = folder / "weights.pkl"
    path.write_bytes(content)
    return path


def _refusal(content: bytes, folder: Path) -> str:
    path = _file(content, folder)
    with pytest.raises(CheckpointError) as caught:
        read_pickle(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def _old_core(content: bytes) -> bytes:
    """The same pickle with the module names of NumPy 1."""
    for module in (b"multiarray", b"numeric"):
        new, old = b"numpy._core." + module, b"numpy.core." + module
        content = content.replace(b"\x8c" + bytes([len(new)]) + new, b"\x8c" + bytes([len(old)]) + old).replace(new, old)
    return content


@pytest.mark.parametrize("rename", [lambda content: content, _old_core], ids=["numpy2", "numpy1"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_are_read_as_pickle_reads_them(tmp_path: Path, protocol: int, rename: Callable[[bytes], bytes]) -> None:
    """Every type, layout and protocol gives the shape, type and values that were written, under both names of NumPy's core."""
    content = {"model": ARRAYS, "__author__": "Detectron2 \u00fc", "numbers": [1, -1, 70000, 2**40, 0.5, None, (True, False), (1, 2, 3, 4)]}

    found: Any = read_pickle(_file(rename(pickle.dumps(content, protocol)), tmp_path))

    assert found | {"model": None} == content | {"model": None}
    assert found["model"].keys() == ARRAYS.keys()
    for name, array in found["model"].items():
        assert (array.dtype, array.shape) == (ARRAYS[name].dtype.newbyteorder("="), ARRAYS[name].shape), name
        np.testing.assert_array_equal(array, ARRAYS[name], name)


def test_shared_values_and_ordered_dicts_are_read(tmp_path: Path) -> None:
    """What a pickle refers to twice is the same twice; an OrderedDict is a dict, whatever torch noted on it."""
    weight, names = np.ones(3, np.float32), collections.OrderedDict()
    names["a"] = names["b"] = weight
    names._metadata = collections.OrderedDict()  # type: ignore[attr-defined]

    found: Any = read_pickle(_file(pickle.dumps(names), tmp_path))

    assert list(found) == ["a", "b"]
    assert found["a"] is found["b"]


def _python2(name: bytes, values: bytes) -> bytes:
    """{name: 2 x 3 float32} as Python 2 wrote it: names and values are byte strings, protocol 2."""
    array = b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03"
    kind = b"cnumpy\ndtype\nq\x04U\x02f4K\x00K\x01\x87Rq\x05(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    state = b"(K\x01K\x02K\x03\x86" + kind + b"\x89T" + struct.pack("<i", len(values)) + values + b"tb"
    return b"\x80\x02}q\x00U" + bytes([len(name)]) + name + array + state + b"s."


def test_pickles_of_python_2_are_read(tmp_path: Path) -> None:
    """Byte strings are Latin-1 text where they name something and numbers where they fill an array."""
    values = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    content = _python2("fc\u00e9".encode("latin-1"), values.tobytes())

    found: Any = read_pickle(_file(content, tmp_path))

    assert found.keys() == pickle.loads(content, encoding="latin1").keys() == {"fc\u00e9"}  # noqa: S301
    np.testing.assert_array_equal(found["fc\u00e9"], values)


class _Calls:
    """Pickles as a call of a function, and as what ``__setstate__`` may be given."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


class _Slotted:
    __slots__ = ()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("content", "name"),
    [
        (_Calls(os.system, ("mkdir ran",)), "posix.system"),
        (_Calls(os.mkdir, ("ran",)), "posix.mkdir"),
        (_Calls(builtins.eval, ("__import__('os').mkdir('ran')",)), "eval"),
        (_Calls(builtins.getattr, (1, "real")), "getattr"),
        (_Calls(np.save, ("ran", 1)), "numpy"),
        (_Calls(np.fromfile, ("/etc/passwd",)), "fromfile"),
        (_Calls(np.memmap, ("ran", np.uint8, "w+", 0, 8)), "memmap"),
        (_Calls(functools.partial, (os.mkdir, "ran")), "functools.partial"),
        (_Calls(copyreg._reconstructor, (dict, object, None)), "_reconstructor"),
        (_Calls(codecs.decode, (b"x", "zip")), "_codecs.decode"),
        (_Calls(collections.deque, ([], 3)), "collections.deque"),
        (_Calls(dict, (), {"state": 1}), "dict"),
        (torch.zeros(1), "torch._utils._rebuild_tensor_v2"),
        (dt.date(2020, 1, 1), "datetime.date"),
        (Path("ran"), "Path"),
        (_Slotted(), "_Slotted"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_other_global_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object, name: str, protocol: int
) -> None:
    """Functions and classes that arrays do not need are named and neither imported nor called, wherever they stand."""
    monkeypatch.chdir(tmp_path)

    message = _refusal(pickle.dumps({"model": {"w": np.ones(1), "x": content}}, protocol), tmp_path)

    assert "besides weights it holds Python objects" in message
    assert name in message
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["weights.pkl"]


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (np.array([None, 1], object), "O8"),
        (np.array([_Calls(os.mkdir, ("ran",))]), "O8"),
        (np.zeros(2, [("a", "f4")]), "V4"),
        (np.array(["a"]), "U1"),
        (np.zeros(1, "M8[s]"), "M8"),
        (np.zeros(1, np.complex64), "c8"),
        (np.zeros(1, np.longdouble), "f16"),
    ],
)
def test_arrays_of_anything_but_numbers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, array: Any, code: str) -> None:
    """Objects, records, text and dates are named by NumPy's code of their type, before what they hold is looked at."""
    monkeypatch.chdir(tmp_path)

    message = _refusal(pickle.dumps({"w": array}, 2), tmp_path)

    assert f"arrays of type {code}" in message or "besides weights" in message
    assert not (tmp_path / "ran").exists()


_RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
_FLOAT = b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
_BIG = struct.pack("<B", 8) + struct.pack("<q", 1 << 40)


@pytest.mark.parametrize(
    "body",
    [
        b"cnumpy\nndarray\nK\x05\x85R.",
        b"cnumpy\nndarray\n}U\x04nameU\x01xsb.",
        b"cnumpy\ndtype\n}U\x05buildNsb.",
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85U\x01b\x87R.",
        _FLOAT + b"}b.",
        _FLOAT + b"(K\x03U\x01!NNNtb.",
        _FLOAT + b"(K\x03U\x01<}NNtb.",
        _RECONSTRUCT + b"}b.",
        _RECONSTRUCT + b"(K\x01K\x01\x85" + _FLOAT + b"\x89]tb.",
        _RECONSTRUCT + b"(K\x01K\x01\x85U\x02f4\x89U\x04aaaatb.",
        _RECONSTRUCT + b"(K\x01(\x8a" + _BIG + b"\x8a" + _BIG + b"t" + _FLOAT + b"\x89U\x04aaaatb.",
        _RECONSTRUCT + b"(K\x01(" + b"K\x01" * 40 + b"t" + _FLOAT + b"\x89U\x04aaaatb.",
        _RECONSTRUCT + b"(K\x01J\xff\xff\xff\xffJ\xfc\xff\xff\xff\x86" + _FLOAT + b"\x89U\x10" + b"a" * 16 + b"tb.",
        _RECONSTRUCT + b"(K\x01K\x01\x85" + _FLOAT + b"\x89X\x04\x00\x00\x00aa\xc4\x80tb.",
        _RECONSTRUCT + b"q\x00(K\x01K\x01\x85" + _FLOAT + b"\x89U\x04aaaatbh\x00(K\x01K\x01\x85" + _FLOAT + b"\x89U\x04aaaatb.",
        b"c_codecs\nencode\nX\x01\x00\x00\x00aU\x04zlib\x86R.",
        b"c_codecs\nencode\nK\x01U\x06latin1\x86R.",
        b"ccollections\nOrderedDict\n]\x85R.",
        b"X\xff\xff\xff\x7fab.",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\xffab.",
        b"\x96\x00\x00\x00\x00\x10\x00\x00\x00ab.",
        b"T\xff\xff\xff\xffab.",
        b"\x8a\xff" + b"\x01" * 255 + b".",
        b"h\x07.",
        b"0.",
        b"K\x01(0.",
        b"(K\x01tK\x02a.",
        b"}K\x01s.",
        b"}K\x01\x85K\x01s.",
        b"}(K\x01u.",
        b"(\x85.",
        b"t.",
        b".",
        b"cnumpy.",
        b"\x93.",
        b"K\x01K\x02\x93.",
        b"X\x02\x00\x00\x00\xff\xff.",
    ],
)
def test_operands_that_no_pickler_writes_are_damage(tmp_path: Path, body: bytes) -> None:
    """Wrong types, claims of size that the file cannot back, and broken stacks end in one kind of error."""
    message = _refusal(b"\x80\x02" + body, tmp_path)

    assert "damaged" in message or "refused" in message


@pytest.mark.parametrize("body", [b"P1\n", b"iposix\nsystem\n", b"\x82\x01", b"\x81", b"\x92", b"o", b"Q", b"2", b"\x97", b"I1\n", b"\xff"])
def test_instructions_that_weights_do_not_need_are_refused(tmp_path: Path, body: bytes) -> None:
    """Persistent ids, instances, extension codes, new objects and buffers from outside are not even read."""
    assert f"instruction (0x{body[0]:02x})" in _refusal(b"\x80\x02cnumpy\nndarray\n)" + body + b".", tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80", b"\x80\x01.", b"\x80\x06.", b"(dp0\n.", b"PK\x03\x04", b"<!doctype html>"],
)
def test_what_is_no_pickle_of_protocol_2_to_5_is_said(tmp_path: Path, content: bytes) -> None:
    """Empty files, other protocols, archives and web pages are told from damaged pickles."""
    assert "is not a pickle of NumPy arrays (protocol 2 to 5)" in _refusal(content, tmp_path)


def test_an_unprintable_name_does_not_reach_the_terminal(tmp_path: Path) -> None:
    """Control characters in the name of a global are escaped, and the name is cut."""
    message = _refusal(b"\x80\x02c\x1b[2Jx\n" + b"y" * 200 + b"\n.", tmp_path)

    assert r"\x1b[2Jx.yyy" in message
    assert message.isprintable()
    assert len(message) < 400 + len(str(tmp_path))


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_truncated_file_is_damaged(tmp_path: Path, protocol: int, kept: float) -> None:
    """A file cut anywhere is an error, never a part of the weights."""
    content = pickle.dumps({"model": ARRAYS}, protocol)

    assert "NumPy arrays" in _refusal(content[: int(len(content) * kept)], tmp_path)


def _memory(action: Callable[[], object]) -> int:
    """The most bytes that an action holds at once."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _read_or_refuse(path: Path) -> None:
    with contextlib.suppress(CheckpointError):
        read_pickle(path)


_BLOB = b"B" + struct.pack("<I", 40_000) + bytes(40_000) + b"q\x00"
_TEXT = b"X" + struct.pack("<I", 40_000) + b"a" * 40_000 + b"q\x00"


@pytest.mark.parametrize(
    "content",
    [
        b"r\xff\xff\xff\xff" * 3,
        b"Nr\xff\xff\xff\x7f.",
        _BLOB + (_RECONSTRUCT + b"(K\x01M\x10\x27\x85" + _FLOAT + b"\x89h\x00tb") * 200 + b".",
        _TEXT + b"c_codecs\nencode\nq\x01" + b"h\x01h\x00U\x06latin1\x86R" * 200 + b".",
        b"K\x01" + b"\x85" * 100_000 + b".",
        b"K\x01" + b"q\x00h\x00\x86" * 30_000 + b".",
        b"]" * 50_000 + b"a" * 49_999 + b".",
        b"]q\x00" + b"h\x00a" * 30_000 + b".",
        b"}" * 100_000 + b".",
        b"(" * 100_000 + b".",
        b"K\x01" + b"q\x00h\x00\x86" * 60 + b"q\x00}h\x00Ns.",
    ],
    ids=["memo", "memo_index", "arrays", "encoded", "tuples", "doubling", "lists", "cycle", "dicts", "marks", "hash"],
)
def test_memory_follows_the_size_of_the_file(tmp_path: Path, content: bytes) -> None:
    """Neither huge indices, one block of bytes used over and over, deep nesting nor cycles make memory or time grow out of hand."""
    path = _file(b"\x80\x02" + content, tmp_path)

    assert _memory(lambda: _read_or_refuse(path)) < 150 * path.stat().st_size + MEMORY_BASE


def test_endless_instructions_are_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of more instructions than any weights need is refused at the limit."""
    monkeypatch.setattr(pickles, "_INSTRUCTIONS_MAX", 1000)

    assert "more than 1000 instructions" in _refusal(b"\x80\x02" + b"N" * 1001 + b".", tmp_path)


def _mutated(content: bytes, chance: random.Random) -> bytes:
    """One to three random changes: a byte, a bit, a cut, an insertion, a deletion or a part of itself moved."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        at, length = chance.randrange(len(changed)), chance.randint(1, 12)
        kind = chance.randrange(6)
        if kind == 0:
            changed[at] = chance.randrange(256)
        elif kind == 1:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            changed = changed[: max(at, 1)]
        elif kind == 3:
            changed[at:at] = chance.randbytes(length)
        elif kind == 4 and len(changed) > length:
            del changed[at : at + length]
        else:
            start = chance.randrange(len(changed))
            changed[at : at + length] = changed[start : start + length]
        changed = changed or bytearray(b".")
    return bytes(changed)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_mutations_end_in_a_state_dict_or_the_one_error(tmp_path: Path, protocol: int) -> None:
    """Of 2000 random changes of a valid file none escapes as another error or takes memory beyond the bound."""
    chance = random.Random(protocol)
    weights = {f"layer{i}.weight": np.full((2, 3), i, np.float32) for i in range(4)} | {"count": ARRAYS["integers"], "s": np.float64(2)}
    intact = pickle.dumps({"model": weights, "__author__": "x"}, protocol)
    outcomes = collections.Counter()

    def load(path: Path) -> None:
        try:
            state = _unwrapped(_read(path), path)
            assert all(isinstance(value, torch.Tensor) for value in state.values())
            outcomes["read"] += 1
        except CheckpointError:
            outcomes["refused"] += 1

    for _ in range(2000):
        path = _file(_mutated(intact, chance), tmp_path)
        assert _memory(lambda path=path: load(path)) < MEMORY_TIMES_FILE * path.stat().st_size + MEMORY_BASE

    assert min(outcomes["read"], outcomes["refused"]) > 50
