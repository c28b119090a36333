"""docs/service.md: its events are those of the code, and its unit is one that systemd and the command understand."""

from __future__ import annotations

import ast
import configparser
import re
import shlex
import shutil
import subprocess
from types import SimpleNamespace

import pytest

from edgeseg.cli import _parser
from edgeseg.cli.report import summary_fields
from edgeseg.cli.status import StreamStatus
from edgeseg.sources.base import SourceCounts, SourceInfo
from edgeseg.stream import Summary
from edgeseg.types import Result, Step

LEVELS = {"INFO": "info", "WARNING": "warning", "ERROR": "error"}


@pytest.fixture
def unit(checkout):
    """The unit's file."""
    return checkout / "docs" / "examples" / "edgeseg.service"


def events_of_the_code(checkout) -> dict[str, tuple[str, frozenset[str]]]:
    """Name -> level and fields of every event that is made, where the fields are written out. Names always are."""
    found = {}
    sources = [path.read_text(encoding="utf-8") for folder in ("edgeseg", "export") for path in (checkout / folder).rglob("*.py")]
    for node in (node for source in sources if "Event(" in source for node in ast.walk(ast.parse(source))):
        if not isinstance(node, ast.Call) or ast.unparse(node.func) != "Event":
            continue
        assert isinstance(node.args[0], ast.Constant), ast.unparse(node)
        level = "INFO" if len(node.args) < 3 else ast.unparse(node.args[2]).rpartition(".")[2]
        name, fields = str(node.args[0].value), {word.arg for word in node.keywords if word.arg is not None}
        found[name] = (LEVELS[level], found.get(name, ("", frozenset()))[1] | fields)
    return found


def events_of_the_document(checkout) -> dict[str, tuple[str, frozenset[str]]]:
    """The same of the table."""
    text = (checkout / "docs" / "service.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z.]+|[a-z]+\.[a-z_]+)` \| (info|warning|error) \| .* \| ?(.*?) ?\|$", text, re.MULTILINE)
    return {name: (level, frozenset(re.findall(r"`(\w+)`", fields))) for name, level, fields in rows}


def test_every_event_is_in_the_table_with_its_level_and_fields(checkout):
    """And none else."""
    told, made = events_of_the_document(checkout), events_of_the_code(checkout)
    made.pop("message")
    # The fields of these two come from functions.
    stream = StreamStatus("a", SimpleNamespace(info=SourceInfo("a"), counts=SourceCounts()), None)
    stream.see(Result(0, Step.KEY, (), (4, 4)))
    made["run.status"] = ("info", frozenset(stream.event().fields))
    made["run.summary"] = ("info", frozenset({*summary_fields(Summary()), "streams"}))

    assert told == made


def test_the_command_of_the_unit_is_one_of_ours(unit):
    """Its options exist and go together; SIGTERM's code is no failure."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read_string(unit.read_text(encoding="utf-8"))
    service = parser["Service"]
    command = shlex.split(service["ExecStart"].replace("${SOURCE}", "rtsp://me:secret@host/a"))
    args = _parser().parse_args(command[1:])

    assert command[0] == "/opt/edgeseg/bin/edgeseg"
    assert (args.jsonl, args.log_format, args.quiet) == ("-", "json", False)
    assert args.serve.startswith("127.0.0.1:")
    assert (service["SuccessExitStatus"], service["Restart"], service["Type"]) == ("143", "on-failure", "notify")
    assert service["WatchdogSignal"] == "SIGTERM"
    assert service["Environment"] == f"EDGESEG_CACHE=/var/cache/{service['CacheDirectory']}"
    assert parser["Install"]["WantedBy"] == "multi-user.target"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit(unit, tmp_path):
    """With a program where it expects ours, it has nothing to say of it."""
    copy = tmp_path / unit.name
    text = unit.read_text(encoding="utf-8").replace("/opt/edgeseg/bin/edgeseg", "/bin/true")
    copy.write_text(text, encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False)

    assert [line for line in (done.stdout + done.stderr).splitlines() if "edgeseg" in line] == []
    assert done.returncode == 0, done.stdout + done.stderr
