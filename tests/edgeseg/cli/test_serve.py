"""``--serve`` and the options that belong to it."""

from __future__ import annotations

import re
import socket

import pytest

from edgeseg.cli import main

CLIP = "synthetic:seed=1,frames=4,size=64x48"


def test_address_of_the_page_is_printed(bundle, capsys):
    """On loopback without a token; the run is as without the page."""
    assert main(["run", str(bundle), CLIP, "--serve", "127.0.0.1:0", "--backend", "onnxruntime", "--threads", "1"]) == 0

    error = capsys.readouterr().err
    assert re.search(r"^web page http://127\.0\.0\.1:\d+/$", error, re.MULTILINE)
    assert "4 frames in " in error


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--serve", "nonsense"], 2, "give PORT or HOST:PORT"),
        (["--record-dir", "TMP"], 2, "Give --serve HOST:PORT as well"),
        (["--token-file", "TMP/none"], 2, "Give --serve HOST:PORT as well"),
        (["--serve", "0", "--token-file", "TMP/none"], 2, "cannot be read as text"),
        (["--serve", "0", "--record-dir", "TMP/none"], 1, "mkdir -p"),
        (["--serve", "TAKEN"], 1, "Choose another port or address"),
    ],
)
def test_what_cannot_be_served_is_one_message(bundle, tmp_path, capsys, arguments, code, message):
    """Before the model is loaded, and without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = [text.replace("TMP", str(tmp_path)).replace("TAKEN", str(taken.getsockname()[1])) for text in arguments]

        assert main(["run", str(bundle), CLIP, *given]) == code

    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("edgeseg: error: ")
    assert message in error
    assert "backend" not in error
