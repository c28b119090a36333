"""Bundles: what is written reads back, and everything that is wrong with one is a BundleError with its message."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edgeseg
from edgeseg.bundle import FORMAT_VERSION, MANIFEST, Bundle, Graph, InputSpec, TensorSpec, read_bundle, sha256
from edgeseg.errors import BundleError
from edgeseg.families.base import KEY
from edgeseg.types import Label
from tests.bundles import tiny_bundle

Manifest = dict[str, Any]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A folder with a good bundle."""
    return tiny_bundle(tmp_path / "tiny")


def _edit(bundle: Path, change: Callable[[Manifest], object]) -> None:
    manifest = json.loads((bundle / MANIFEST).read_text())
    change(manifest)
    (bundle / MANIFEST).write_text(json.dumps(manifest))


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    """Every field survives the way through model.json, those of later models included."""
    for name in ("key.onnx", "warp.fp16.onnx"):
        (tmp_path / name).write_bytes(name.encode())
    image, feature = TensorSpec("image", "uint8", (1, 96, 64, 3)), TensorSpec("lateral", "float16", (1, 8, 4, 4))
    written = Bundle(
        family="yolact",
        recipe="yolact_edge_vid",
        labels=(Label("kürbis", 3), Label("sky", 90, is_thing=False)),
        input=InputSpec((96, 64), "float32", "letterbox", "antialias"),
        graphs={
            "key": Graph({"fp32": "key.onnx"}, (image,), (feature,), {"carried": "lateral"}),
            "warp": Graph({"fp16": "warp.fp16.onnx"}, (image, TensorSpec("carried", "float16", (1, 8, 4, 4))), (feature,)),
        },
        hashes={name: sha256(tmp_path / name) for name in ("key.onnx", "warp.fp16.onnx")},
        made_with={"torch": "2.13.0"},
        parity={"key": {"pictures": 2, "max_score_error": 1e-6}},
        settings={"void": True, "limit": 2048, "ratio": 0.5, "unit": "padded"},
        path=tmp_path,
    )
    (tmp_path / MANIFEST).write_text(json.dumps(written.to_json()))

    assert read_bundle(tmp_path) == written
    assert read_bundle(str(tmp_path)).file("warp", "fp16") == tmp_path / "warp.fp16.onnx"


def test_a_graph_or_precision_that_it_lacks_is_named(bundle: Path) -> None:
    """The message lists what the bundle has instead."""
    good = read_bundle(bundle)

    with pytest.raises(BundleError, match=r"has no graph 'warp', only \['key'\]"):
        good.file("warp", "fp32")
    with pytest.raises(BundleError, match=r"has no int8 version of graph 'key', only \['fp32'\].*Choose one of these with --precision"):
        good.file("key", "int8")


def test_a_manifest_without_a_resample_means_bilinear(bundle: Path) -> None:
    """As bundles were written before there was a choice."""
    _edit(bundle, lambda manifest: manifest["input"].pop("resample"))

    assert read_bundle(bundle).input.resample == "bilinear"


@pytest.mark.parametrize(
    ("field", "value", "known"), [("fit", "crop", "stretch, same_shape, letterbox"), ("resample", "nearest", "bilinear, antialias")]
)
def test_an_unknown_name_is_told_with_those_that_are_known(bundle: Path, field: str, value: str, known: str) -> None:
    """For the fit and for the resampling alike."""
    _edit(bundle, lambda manifest: manifest["input"].update({field: value}))

    with pytest.raises(BundleError, match=rf"input {field} '{value}' is none of {known}"):
        read_bundle(bundle)


def test_a_link_inside_the_bundle_is_fine(bundle: Path) -> None:
    """Only what leads out of the folder is refused."""
    (bundle / f"{KEY}.onnx").rename(bundle / "elsewhere.onnx")
    (bundle / f"{KEY}.onnx").symlink_to("elsewhere.onnx")

    assert read_bundle(bundle).file(KEY, "fp32").is_file()


def _no_folder(bundle: Path) -> None:
    bundle.rename(bundle.with_name("moved"))


def _is_a_file(bundle: Path) -> None:
    _no_folder(bundle)
    bundle.write_text("not a folder")


def _linked_out(bundle: Path) -> None:
    (bundle / "key.onnx").rename(bundle.parent / "outside.onnx")
    (bundle / "key.onnx").symlink_to(bundle.parent / "outside.onnx")


def _changed_byte(bundle: Path) -> None:
    content = bytearray((bundle / "key.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "key.onnx").write_bytes(content)


def _loop(bundle: Path) -> None:
    (bundle / "key.onnx").unlink()
    (bundle / "key.onnx").symlink_to("key.onnx")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_no_folder, r"there is no bundle at .*tiny.*'edgeseg export'"),
        (_is_a_file, r"is not a bundle: it has no model\.json"),
        (lambda bundle: (bundle / MANIFEST).unlink(), r"is not a bundle: it has no model\.json"),
        (lambda bundle: (bundle / "key.onnx").unlink(), r"graph 'key' is missing: .*key\.onnx does not exist"),
        (_changed_byte, r"key\.onnx was changed or damaged: its SHA-256"),
        (_linked_out, r"names 'key\.onnx', which lies outside the bundle"),
        # Python 3.13 tells a loop of links only as a missing file.
        (_loop, r"'key\.onnx' cannot be read|key\.onnx does not exist"),
    ],
)
def test_a_damaged_folder_is_refused(bundle: Path, damage: Callable[[Path], None], message: str) -> None:
    """Each kind of damage has its own message."""
    damage(bundle)

    with pytest.raises(BundleError, match=message):
        read_bundle(bundle)


@pytest.mark.parametrize("name", ["x" * 300, "nul\0byte"])
def test_a_folder_name_that_cannot_be_is_refused(name: str) -> None:
    """Names too long or with a zero byte are a BundleError too."""
    with pytest.raises(BundleError):
        read_bundle(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as JSON"),
        ("{", "cannot be read as JSON"),
        ("\udcff", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("[]", "is not an edgeseg manifest: its 'format' is not 'edgeseg-bundle'"),
        ('"edgeseg-bundle"', "is not an edgeseg manifest"),
        ('{"format": "other"}', "is not an edgeseg manifest"),
        ('{"format": "edgeseg-bundle"}', "has format_version None; a whole number"),
        ('{"format": "edgeseg-bundle", "format_version": "1"}', "has format_version '1'; a whole number"),
        ('{"format": "edgeseg-bundle", "format_version": 0}', "has format_version 0; a whole number"),
        (f'{{"format": "edgeseg-bundle", "format_version": {FORMAT_VERSION + 1}}}', rf"has bundle format {FORMAT_VERSION + 1}.* Upgrade"),
        ('{"format": "edgeseg-bundle", "format_version": 1}', r"not a valid bundle manifest \(KeyError: 'family'\)"),
        (" " * 4_000_001, "is larger than 4000000 bytes"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_a_file_that_is_no_manifest_is_refused(bundle: Path, text: str, message: str) -> None:
    """Anything but a JSON object of a known format and version."""
    (bundle / MANIFEST).write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(BundleError, match=message):
        read_bundle(bundle)


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside.onnx", "sub/../../outside.onnx", "..", "sub\\key.onnx"])
def test_a_path_that_leaves_the_bundle_is_refused(bundle: Path, name: str) -> None:
    """Whether the file exists or not, nothing outside the folder is read."""
    (bundle.parent / "outside.onnx").write_bytes((bundle / "key.onnx").read_bytes())
    _edit(bundle, lambda manifest: manifest["graphs"]["key"]["files"].update(fp32=name))

    with pytest.raises(BundleError, match=r"which lies outside the bundle\. Do not use this bundle"):
        read_bundle(bundle)


@pytest.mark.parametrize("name", ["", ".", "x" * 300, "nul\0byte", "missing/key.onnx", "model.json/key.onnx", "surrogate\ud800"])
def test_a_name_that_no_file_of_the_bundle_has_is_refused(bundle: Path, name: str) -> None:
    """Names that the file system itself refuses are a BundleError too."""
    _edit(bundle, lambda manifest: manifest["graphs"]["key"]["files"].update(fp32=name))

    with pytest.raises(BundleError):
        read_bundle(bundle)


def test_a_file_without_a_hash_is_refused(bundle: Path) -> None:
    """What cannot be verified is not loaded."""
    _edit(bundle, lambda manifest: manifest["hashes"].clear())

    with pytest.raises(BundleError, match=r"holds no hash for key\.onnx"):
        read_bundle(bundle)


def test_a_file_that_may_not_be_read_is_refused(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's reason is part of the message."""

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("edgeseg.bundle.sha256", refuse)

    with pytest.raises(BundleError, match=r"graph 'key': the file 'key\.onnx' cannot be read .*Permission denied"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("family",), None),
        (("labels",), {"thing": 1}),
        (("labels", 0), "thing"),
        (("labels", 0, "category_id"), "1"),
        (("labels", 0, "category_id"), float("inf")),
        (("labels", 0, "is_thing"), "false"),
        (("labels", 0, "name"), "\ud800"),
        (("input",), []),
        (("input", "size"), "64"),
        (("input", "size"), [64, 64, 3]),
        (("input", "size"), [64.5, 64]),
        (("input", "size"), [0, 64]),
        (("input", "size"), [64, 16385]),
        (("input", "dtype"), "float16"),
        (("input", "fit"), "crop"),
        (("input", "fit"), None),
        (("input", "resample"), "nearest"),
        (("input", "resample"), None),
        (("graphs",), []),
        (("graphs", "key"), None),
        (("graphs", "key", "files"), {}),
        (("graphs", "key", "files"), {"fp32": 1}),
        (("graphs", "key", "inputs"), 1),
        (("graphs", "key", "inputs", 0, "dtype"), "complex64"),
        (("graphs", "key", "inputs", 0, "dtype"), ["uint8"]),
        (("graphs", "key", "inputs", 0, "shape"), [1, -1, 64, 3]),
        (("graphs", "key", "inputs", 0, "shape"), [1, 1 << 20, 1 << 20, 3]),
        (("graphs", "key", "inputs", 0, "shape"), [1, float("inf"), 64, 3]),
        (("graphs", "key", "inputs", 0, "shape"), [True, 64, 64, 3]),
        (("graphs", "key", "carry"), ["lateral"]),
        (("hashes",), ["abc"]),
        (("hashes",), {"key.onnx": None}),
        (("parity",), 3),
        (("made_with",), {"torch": 2}),
    ],
    ids=str,
)
def test_a_field_of_the_wrong_kind_is_refused(bundle: Path, path: tuple[str | int, ...], value: Any) -> None:
    """Wrong types, and sizes that cannot be, are told from good ones before anything is allocated."""

    def change(manifest: Any) -> None:
        *parents, last = path
        for key in parents:
            manifest = manifest[key]
        manifest[last] = value

    _edit(bundle, change)

    with pytest.raises(BundleError, match="is not a valid bundle manifest"):
        read_bundle(bundle)


@pytest.mark.parametrize("key", ["family", "recipe", "labels", "input", "graphs", "hashes"])
def test_a_missing_field_is_refused(bundle: Path, key: str) -> None:
    """The message names the field."""
    _edit(bundle, lambda manifest: manifest.pop(key))

    with pytest.raises(BundleError, match=rf"KeyError: '{key}'"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest.update(family="detr"), r"of family 'detr'; this edgeseg knows .*, yolact\. Upgrade edgeseg"),
        (lambda manifest: manifest.update(graphs={}), r"has no graph 'key'"),
        (
            lambda manifest: manifest["graphs"]["key"]["outputs"].pop(1),
            r"graph 'key' lacks the outputs \['scores'\] of family yolact",
        ),
        (lambda manifest: manifest["input"].update(fit="letterbox"), r"input fit 'letterbox', which family yolact cannot have"),
    ],
)
def test_loading_refuses_what_this_edgeseg_cannot_decode(bundle: Path, change: Callable[[Manifest], object], message: str) -> None:
    """Unknown families, and graphs without what their family needs, are refused before a frame is read."""
    _edit(bundle, change)

    with pytest.raises(BundleError, match=message):
        edgeseg.load(bundle, backend="fake")


def test_every_file_that_has_a_hash_is_checked(bundle: Path) -> None:
    """Weights that graphs share are named by the hashes alone."""
    (bundle / "weights.bin").write_bytes(b"weights")
    _edit(bundle, lambda manifest: manifest["hashes"].update({"weights.bin": hashlib.sha256(b"weights").hexdigest()}))
    read_bundle(bundle)
    (bundle / "weights.bin").write_bytes(b"waits")

    with pytest.raises(BundleError, match=r"weights\.bin was changed or damaged"):
        read_bundle(bundle)


@pytest.mark.parametrize("carry", [{"key_state": "scores"}, {"key_state": "nothing"}, {"nobody": "state"}])
def test_carry_that_joins_nothing_is_refused(tmp_path: Path, carry: dict[str, str]) -> None:
    """An output that does not exist, an input that no graph has, or two that differ in shape."""
    video = tiny_bundle(tmp_path / "video", warp=True)
    read_bundle(video)
    _edit(video, lambda manifest: manifest["graphs"]["key"].update(carry=carry))

    with pytest.raises(BundleError, match="which no graph takes in that dtype and shape"):
        read_bundle(video)


def test_a_light_graph_that_nothing_feeds_is_refused(tmp_path: Path) -> None:
    """Before a frame is read."""
    video = tiny_bundle(tmp_path / "video", warp=True)
    _edit(video, lambda manifest: manifest["graphs"]["key"].update(carry={}))

    with pytest.raises(BundleError, match=r"nothing feeds the inputs \['key_state'\] of graph 'warp'"):
        edgeseg.load(video, backend="fake")


@pytest.mark.parametrize(
    "settings", [{"a": None}, {"a": [1]}, {"a": {}}, {"a": float("inf")}, {"a": "x" * 300}, [1], dict.fromkeys(map(str, range(33)), 1)]
)
def test_settings_are_few_plain_values(bundle: Path, settings: object) -> None:
    """Anything but a number, true, false or a short text is refused, and so are more than 32."""
    _edit(bundle, lambda manifest: manifest.update(settings=settings))

    with pytest.raises(BundleError, match="not a valid bundle manifest"):
        read_bundle(bundle)
