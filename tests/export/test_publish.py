"""A bundle folder appears whole or not at all, and nothing else is ever replaced."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from edgeseg.bundle import MANIFEST, read_bundle
from edgeseg.errors import BundleError, ExportError, UsageError
from export.publish import require_target, staging, write_manifest
from tests.bundles import tiny_bundle


def _listing(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def _disk_full(*_: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _copy_into(source: Path, folder: Path) -> None:
    for path in source.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())


def _write_and_fail(source: Path, out: Path, error: BaseException) -> NoReturn:
    with staging(out) as folder:
        _copy_into(source, folder)
        raise error


@pytest.fixture
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good bundle to be written somewhere."""
    return tiny_bundle(tmp_path_factory.mktemp("source") / "good")


def test_a_bundle_appears_when_all_of_it_is_written(source: Path, tmp_path: Path) -> None:
    """During the block there is nothing at its place; afterwards there is the bundle and nothing beside it."""
    out = tmp_path / "out"

    with staging(out) as folder:
        _copy_into(source, folder)
        assert not out.exists()

    assert _listing(tmp_path) == {"out": None, **{f"out/{name}": content for name, content in _listing(source).items()}}
    assert out.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("older", [True, False])
def test_an_older_bundle_or_an_empty_folder_is_replaced(source: Path, tmp_path: Path, older: bool) -> None:
    """Files of the older bundle that the new one lacks are gone."""
    out = tmp_path / "out"
    out.mkdir()
    if older:
        tiny_bundle(out, labels=1)
        (out / "warp.onnx").touch()
        (out / "weights.bin").touch()
    require_target(out)

    with staging(out) as folder:
        _copy_into(source, folder)

    assert _listing(out) == _listing(source)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [ExportError("does not match"), KeyboardInterrupt(), ValueError("a bug")], ids=repr)
@pytest.mark.parametrize("older", [True, False])
def test_a_failure_leaves_everything_as_it_was(source: Path, tmp_path: Path, error: BaseException, older: bool) -> None:
    """The error itself comes out, whatever it is; an older bundle stays and nothing is left beside it."""
    out = tmp_path / "out"
    if older:
        tiny_bundle(out, labels=1)
    before = _listing(tmp_path)

    with pytest.raises(type(error)) as caught:
        _write_and_fail(source, out, error)

    assert caught.value is error
    assert _listing(tmp_path) == before


@pytest.mark.parametrize("older", [True, False])
def test_a_full_disk_is_an_export_error(source: Path, tmp_path: Path, older: bool) -> None:
    """The message says so and what to do, and no half bundle is left."""
    out = tmp_path / "out"
    if older:
        tiny_bundle(out, labels=1)
    before = _listing(tmp_path)

    with pytest.raises(ExportError, match=r"cannot write .*out: No space left on device\. Nothing was left behind; free some space"):
        _write_and_fail(source, out, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    assert _listing(tmp_path) == before


def test_a_manifest_that_cannot_be_flushed_is_an_export_error(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk may tell only then that it is full."""
    bundle = read_bundle(source)
    monkeypatch.setattr(os, "fsync", _disk_full)

    with pytest.raises(ExportError, match="No space left"), staging(tmp_path / "out") as folder:
        write_manifest(bundle, folder)

    assert _listing(tmp_path) == {}


@pytest.mark.parametrize(
    ("cause", "raised"), [(OSError(errno.ENOSPC, "No space left on device"), ExportError), (KeyboardInterrupt(), KeyboardInterrupt)]
)
def test_an_old_bundle_comes_back_when_the_new_one_cannot_take_its_place(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: BaseException, raised: type[BaseException]
) -> None:
    """The one moment in which neither is there is undone, whatever ends it."""
    out = tiny_bundle(tmp_path / "out", labels=1)
    before = _listing(tmp_path)
    rename = Path.rename

    def fail_for_the_new_one(path: Path, target: Path) -> Path:
        if path.suffix == ".partial":
            raise cause
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_new_one)

    with pytest.raises(raised), staging(out) as folder:
        _copy_into(source, folder)

    assert _listing(tmp_path) == before


_LIMITED = """
import resource, signal, sys
from pathlib import Path
from export.publish import staging
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with staging(Path(sys.argv[1])) as folder:
    (folder / "key.onnx").write_bytes(bytes(5000))
"""


def test_a_real_limit_of_the_system_is_an_export_error(checkout: Path, tmp_path: Path) -> None:
    """A file that the system stops in the middle leaves nothing behind either."""
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(tmp_path / "out")], cwd=checkout, capture_output=True, text=True, check=False
    )

    assert "ExportError: cannot write" in done.stderr
    assert "File too large" in done.stderr
    assert _listing(tmp_path) == {}


def test_a_place_that_cannot_be_written_is_an_export_error(tmp_path: Path) -> None:
    """Should the folder vanish after the first check."""
    with (
        pytest.raises(ExportError, match=r"cannot write beside .*No such file or directory\. Give another --out"),
        staging(tmp_path / "a/b"),
    ):
        pass


def test_a_manifest_reads_back(source: Path, tmp_path: Path) -> None:
    """What is written is what was to be written."""
    bundle = read_bundle(source)
    _copy_into(source, tmp_path)
    (tmp_path / MANIFEST).unlink()
    with pytest.raises(BundleError):
        read_bundle(tmp_path)

    write_manifest(bundle, tmp_path)

    assert read_bundle(tmp_path).to_json() == bundle.to_json()


def _some_folder(out: Path) -> None:
    out.mkdir()
    (out / "holiday.jpg").touch()


def _bundle_with_results(out: Path) -> None:
    tiny_bundle(out)
    (out / "results.jsonl").touch()


@pytest.mark.parametrize(
    ("make", "out", "message"),
    [
        (_some_folder, "pictures", "exists and is not a bundle; it will not be replaced"),
        (_bundle_with_results, "bundle", "holds a bundle and also results.jsonl, which replacing it would delete"),
        (Path.touch, "file", "exists and is not a bundle; it will not be replaced"),
        (lambda _: None, "missing/out", "does not exist; make the folder first"),
        (lambda out: out.parent.touch(), "file/out", "does not exist; make the folder first"),
    ],
)
def test_places_that_are_not_for_a_bundle_are_refused(tmp_path: Path, make: object, out: str, message: str) -> None:
    """Before any work is done."""
    make(tmp_path / out)  # type: ignore[operator]
    before = _listing(tmp_path)

    with pytest.raises(UsageError, match=message):
        require_target(tmp_path / out)
    assert _listing(tmp_path) == before


def test_a_folder_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The administrator may write everywhere, so the system's answer is made up here."""
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)

    with pytest.raises(UsageError, match=r"is not writable; give another --out"):
        require_target(tmp_path / "out")


@pytest.mark.parametrize("out", ["new", "empty", "bundle"])
def test_places_for_a_bundle_are_accepted(tmp_path: Path, out: str) -> None:
    """Nothing there, an empty folder, an older bundle."""
    (tmp_path / "empty").mkdir()
    tiny_bundle(tmp_path / "bundle")

    require_target(tmp_path / out)


def test_a_relative_place_is_one_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare name works."""
    monkeypatch.chdir(tmp_path)
    require_target(Path("out"))

    with staging(Path("out")) as folder:
        (folder / "file").touch()

    assert (tmp_path / "out" / "file").exists()
