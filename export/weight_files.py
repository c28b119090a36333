"""Files of weights -> state dicts, read without running code."""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edgeseg.errors import CheckpointError
from edgeseg.types import AnyArray

from .pickles import read_pickle

# Ten times the largest official file; what is above it is not one of these nets.
_MAX_BYTES = 2 * 1024**3
_LISTED = 8
_WRAPPERS = ("state_dict", "model")
# What torch's reader raises on damaged files.
_READ_ERRORS = (
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    EOFError,
    OSError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
)
_PICKLE_SUFFIX = ".pkl"
"""Of detectron2's files: pickles of NumPy arrays."""


class _Inert:
    """Stands in for what training checkpoints hold beside weights: numbers of NumPy, such as a best error. It does nothing."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


_INERT = [(_Inert, name) for name in ("numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")]
"""What NumPy's numbers are pickled as; without the stand-ins torch would refuse the whole file."""


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict that a file of PyTorch or a pickle of arrays holds, bare or in a training checkpoint; data on the CPU.

    Raises:
        CheckpointError: the file cannot be read safely, or holds something else.
    """
    return _unwrapped(_read(path), path)


def _read(path: Path) -> object:
    """Whatever the file holds, unpickled by a reader that runs no code."""
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file; give the path of a .pth or {_PICKLE_SUFFIX} file with the weights")
    try:
        path.open("rb").close()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        _require_size(path)
        if path.suffix.lower() == _PICKLE_SUFFIX:
            return read_pickle(path)
        with torch.serialization.safe_globals(_INERT):
            return torch.load(path, map_location="cpu", weights_only=True)
    except _READ_ERRORS as error:
        refused = re.search(r"GLOBAL ([\w.]+)|[Uu]nsupported (?:class|global)[ :]+([\w.]+)", str(error))
        if refused:
            raise CheckpointError(
                f"{path}: refused, because besides weights it holds Python objects ({refused[1] or refused[2]}) that could run code when "
                "loaded. Ask its author for the bare state dict: torch.save(net.state_dict(), ...)"
            ) from error
        raise CheckpointError(
            f"{path}: cannot be read as a PyTorch weights file; it is damaged, cut short or something else. Download or copy it again"
        ) from error


def _require_size(path: Path) -> None:
    """Refuse what would fill the memory, packed files included."""
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = max(size, sum(entry.file_size for entry in archive.infolist()))
    if size > _MAX_BYTES:
        raise CheckpointError(f"{path}: {size / 1024**3:.1f} GiB is too large for a weights file of any recipe")


def _unwrapped(content: object, path: Path) -> dict[str, Tensor]:
    """The state dict itself, out of a training checkpoint or a DataParallel net if need be."""
    if isinstance(content, Mapping) and not any(isinstance(value, Tensor | np.ndarray) for value in content.values()):
        inner = [content[name] for name in _WRAPPERS if isinstance(content.get(name), Mapping)]
        content = inner[0] if len(inner) == 1 else content
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not a state dict (parameter names with their tensors)")
    state = {str(name): _tensor(value) if isinstance(value, np.ndarray) else value for name, value in content.items()}
    others = [name for name, value in state.items() if not isinstance(value, Tensor) or value.layout != torch.strided]
    if others or not state:
        found = f"also holds {listing(others)}" if others else "is empty"
        raise CheckpointError(f"{path}: is not a state dict (parameter names with their dense tensors): it {found}")
    if all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): value for name, value in state.items()}
    return state


def _tensor(array: AnyArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array).reshape(array.shape))


def listing(names: Iterable[str]) -> str:
    """The first few names and how many more there are."""
    names = list(names)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
