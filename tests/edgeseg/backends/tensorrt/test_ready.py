"""Whether an engine is there already, and making one without opening it."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.build_engines import ROOT, needs_rtx

SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
from edgeseg.backends import BACKENDS
from edgeseg.backends.base import is_ready
from tests.edgeseg.backends.tensorrt.graphs import GOOD, write


backend = BACKENDS["tensorrt"]
file, graph = write(Path(sys.argv[1]), "fp32", GOOD["fp32"])
print(is_ready(backend, file, graph, "fp32"))

def stop(phase, fraction):
    raise InterruptedError

try:
    backend.prepare(file, graph, "fp32", stop)
except InterruptedError:
    print("given up", is_ready(backend, file, graph, "fp32"))
backend.prepare(file, graph, "fp32", lambda phase, fraction: None)
print(is_ready(backend, file, graph, "fp32"), is_ready(backend, file, graph, "fp16"))
print(is_ready(backend, file, replace(graph, outputs=graph.outputs[:0]), "fp32"))
"""


@needs_rtx
def test_an_engine_is_ready_once_it_was_prepared(tmp_path):
    """Of exactly this file, graph and precision; a build that was given up leaves nothing that counts."""
    variables = {**os.environ, "EDGESEG_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["False", "given up False", "True False", "False"]


def test_without_tensorrt_nothing_is_ready(tmp_path):
    """It is no error to ask."""
    script = "import sys\nfor name in ('tensorrt', 'tensorrt_rtx', 'tensorrt_rtx_bindings'):\n    sys.modules[name] = None\n"
    script += "from pathlib import Path\nfrom edgeseg.backends import BACKENDS\nfrom edgeseg.bundle import Graph\n"
    script += "print(BACKENDS['tensorrt'].ready(Path('key.onnx'), Graph({}, (), ()), 'fp32'))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("False\n", "")
