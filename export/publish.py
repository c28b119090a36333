"""Write a bundle folder wholly or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeseg.bundle import LEDGER, MANIFEST, Bundle
from edgeseg.errors import ExportError, UsageError

GRAPH_SUFFIX = ".onnx"
WEIGHTS = "weights.bin"
"""What the graphs of a bundle share of their weights; those of other precisions than float32 have the precision before it."""


def require_target(out: Path) -> None:
    """Raise UsageError unless a bundle may be written at ``out``: nothing there, an empty folder, or an older bundle and nothing else."""
    parent = out.absolute().parent
    if not parent.is_dir():
        raise UsageError(f"{parent} does not exist; make the folder first, or give another --out")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UsageError(f"{parent} is not writable; give another --out")
    if not out.exists():
        return
    inside = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    if not out.is_dir() or (inside and MANIFEST not in inside):
        raise UsageError(f"{out} exists and is not a bundle; it will not be replaced. Give another --out.")
    if foreign := [name for name in inside if name not in (MANIFEST, LEDGER) and not name.endswith((GRAPH_SUFFIX, WEIGHTS))]:
        raise UsageError(
            f"{out} holds a bundle and also {', '.join(foreign)}, which replacing it would delete. Move that, or give another --out."
        )


@contextmanager
def staging(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` to write into. It becomes ``out`` when the block succeeds and vanishes when it fails.

    Raises:
        ExportError: the disk is full or cannot be written; ``out`` is as it was before.
    """
    out = out.absolute()
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    except OSError as error:
        raise ExportError(f"cannot write beside {out}: {error.strerror or error}. Give another --out.") from error
    try:
        yield folder
        folder.chmod(0o755)
        _replace(out, folder)
    except OSError as error:
        raise ExportError(
            f"cannot write {out}: {error.strerror or error}. Nothing was left behind; free some space or give another --out."
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_manifest(bundle: Bundle, folder: Path) -> None:
    """Write ``model.json``, the last file of a bundle, and make sure that it is on the disk."""
    with (folder / MANIFEST).open("w", encoding="utf-8") as stream:
        json.dump(bundle.to_json(), stream, indent=1)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())


def _replace(out: Path, folder: Path) -> None:
    if not out.exists():
        folder.rename(out)
        return
    old = folder.with_suffix(".old")
    out.rename(old)
    try:
        folder.rename(out)
    except BaseException:
        # Ctrl-C too: the older bundle must not stay under its hidden name.
        old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)
