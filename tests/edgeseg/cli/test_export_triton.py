"""``edgeseg export-triton``."""

from __future__ import annotations

import pytest

from edgeseg.cli import main


def test_verb_writes_a_repository_and_names_its_models(bundle, tmp_path, capsys):
    """By default they are called like the bundle's recipe."""
    out = tmp_path / "models"

    assert main(["export-triton", str(bundle), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"wrote {out} with the models tiny_key\n"
    assert (out / "tiny_key" / "config.pbtxt").is_file()
    assert main(["export-triton", str(bundle), "--out", str(out), "--name", "street"]) == 0
    assert not (out / "tiny_key").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--precision", "int8"], 1, "has no int8 version of graph 'key'"),
        (["--name", "a/b"], 2, "a model cannot be called 'a/b'"),
        (["--out", "TMP/bundle"], 2, "did not write: key.onnx"),
    ],
)
def test_what_cannot_work_is_one_message_and_a_code(bundle, tmp_path, capsys, arguments, code, message):
    """And nothing is written."""
    given = [argument.replace("TMP", str(tmp_path)) for argument in arguments]
    before = sorted(tmp_path.rglob("*"))

    assert main(["export-triton", str(bundle), "--out", str(tmp_path / "models"), *given]) == code

    assert message in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
