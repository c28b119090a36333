"""Engines that were built before: ``KEY.engine`` is the plan, ``KEY.json`` beside it says what it is.

A sidecar that fits is the only proof that an engine is whole; it is therefore written last. Whatever is found in the folder
may be damaged or foreign, and is then refused in a line of words, never with an exception.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edgeseg.backends.tensorrt.build import BuiltEngine
from edgeseg.backends.tensorrt.identity import Identity
from edgeseg.backends.tensorrt.locks import FileLock
from edgeseg.errors import BackendError
from edgeseg.paths import is_file

VARIABLE = "EDGESEG_CACHE"
FORMAT = "edgeseg-engine"
FORMAT_VERSION = 1
_SIDECAR_BYTES_MAX = 1_000_000


@dataclass(frozen=True, repr=False)
class Loaded:
    """What the cache had."""

    plan: bytes | None
    refusal: str = ""
    """Why an engine that is there was not taken, as the rest of a sentence about it."""


def cache_folder() -> Path:
    """``$EDGESEG_CACHE``, or the place that the desktop standards name for caches."""
    if own := os.environ.get(VARIABLE):
        return Path(own).expanduser()
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path("~/.cache").expanduser()) / "edgeseg" / "engines"


class EngineCache:
    """A folder of engines, which several processes may share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, identity: Identity) -> Loaded:
        """The plan of exactly this identity, if the folder has it whole."""
        engine, sidecar = self._engine(identity.key), self._sidecar(identity.key)
        if not is_file(sidecar):
            return Loaded(None, "has no description beside it" if is_file(engine) else "")
        told = _read_json(sidecar)
        if told is None:
            return Loaded(None, "has a description that cannot be read")
        found = told.get("identity")
        if difference := identity.difference(found if isinstance(found, dict) else {}):
            return Loaded(None, difference)
        return _read_plan(engine, told)

    def entries(self) -> Iterator[dict[str, object]]:
        """The sidecars that can be read, newest first."""
        with suppress(OSError):
            for file in sorted(self.folder.glob("*.json"), key=_modified_s, reverse=True):
                if (told := _read_json(file)) is not None:
                    yield told

    def store(self, identity: Identity, origin: Mapping[str, object], built: BuiltEngine) -> None:
        """Keep an engine. The caller holds the lock of its key.

        Args:
            identity: what it is.
            origin: what else its sidecar shall tell.
            built: the plan and its numbers.

        Raises:
            BackendError: the folder cannot be written; names it and the variable that chooses another.
        """
        told = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "identity": identity.to_json(),
            "origin": dict(origin),
            "plan_bytes": len(built.plan),
            "plan_sha256": hashlib.sha256(built.plan).hexdigest(),
            "build": dict(built.summary),
            "made_with": {"python": platform.python_version()},
            "agreement": {},
        }
        with self._writable():
            _write(self._engine(identity.key), built.plan)
            _write(self._sidecar(identity.key), json.dumps(told, indent=1).encode())

    def describe(self, identity: Identity, agreement: Mapping[str, object]) -> None:
        """Add to the sidecar of an engine how near it comes to its graph; does nothing where there is none.

        Raises:
            BackendError: the folder cannot be written.
        """
        with self.lock(identity.key, lambda: None):
            sidecar = self._sidecar(identity.key)
            if (told := _read_json(sidecar)) is not None:
                with self._writable():
                    _write(sidecar, json.dumps({**told, "agreement": dict(agreement)}, indent=1).encode())

    @contextmanager
    def lock(self, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Be the only one, of all processes, that builds ``key``; ``waiting`` is called if another does.

        Raises:
            BackendError: the folder cannot be written.
        """
        with self._writable():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock.wait(self.folder / f"{key}.lock", waiting)
        try:
            with self._writable():
                self._sweep(key)
            yield
        finally:
            lock.release()

    def _sweep(self, held: str) -> None:
        """Remove what processes left that died while they wrote: files whose lock nobody holds."""
        self._remove_unfinished(held)
        for path in self.folder.glob("*.lock"):
            with suppress(OSError):
                if path.stem != held and (lock := FileLock.attempt(path)) is not None:
                    self._remove_unfinished(path.stem)
                    lock.release()

    def _remove_unfinished(self, key: str) -> None:
        for file in (self._engine(key), self._sidecar(key)):
            _unfinished(file).unlink(missing_ok=True)

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BackendError(
                f"engines cannot be kept in {self.folder} ({error.strerror or error}). Make it writable and free space there,"
                f" or set {VARIABLE} to another folder."
            ) from error

    def _engine(self, key: str) -> Path:
        return self.folder / f"{key}.engine"

    def _sidecar(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def _read_json(file: Path) -> dict[str, object] | None:
    """What a sidecar says; None if it is none."""
    try:
        with file.open("rb") as stream:
            text = stream.read(_SIDECAR_BYTES_MAX + 1)
        told = json.loads(text) if len(text) <= _SIDECAR_BYTES_MAX else None
    except (OSError, ValueError, RecursionError):
        return None
    known = isinstance(told, dict) and told.get("format") == FORMAT and told.get("format_version") == FORMAT_VERSION
    return told if known else None


def _read_plan(engine: Path, told: Mapping[str, object]) -> Loaded:
    """The plan, if it has the size and the hash that the sidecar tells."""
    try:
        size = engine.stat().st_size
        if size != told.get("plan_bytes"):
            return Loaded(None, f"is {size} bytes long, which it was not when it was stored")
        plan = engine.read_bytes()
    except OSError as error:
        return Loaded(None, f"cannot be read ({error.strerror})")
    if hashlib.sha256(plan).hexdigest() != told.get("plan_sha256"):
        return Loaded(None, "is damaged: its SHA-256 is not the one it was stored with")
    return Loaded(plan)


def _write(file: Path, content: bytes) -> None:
    """Write so that the file is there whole or not at all."""
    unfinished = _unfinished(file)
    try:
        with unfinished.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(file)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _unfinished(file: Path) -> Path:
    return file.with_name(f"{file.name}.tmp")


def _modified_s(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
