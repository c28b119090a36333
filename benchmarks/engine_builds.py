"""Builds every graph of some bundles in every precision with TensorRT-RTX, for several generations of GPUs in one engine.

No GPU is needed, and nothing is run: it says what builds, how large that is, and what building takes. Each build has a process of its own.

python -m benchmarks.engine_builds BUNDLE ... --out FILE.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from edgeseg.backends.tensorrt.build import build_engine
from edgeseg.backends.tensorrt.library import find
from edgeseg.backends.tensorrt.parse import PRECISIONS
from edgeseg.backends.tensorrt.target import choose_target
from edgeseg.bundle import read_bundle
from edgeseg.errors import EdgesegError

from .conditions import conditions, peak_memory_mb

GENERATIONS = ("sm80", "sm86", "sm89", "sm120")
Json = dict[str, Any]


def build_here(path: str, graph: str, precision: str) -> Json:
    """One build: megabytes of the file, without weights beside it, and of the engine, seconds, layers, peak memory; or the error."""
    library, bundle, begin_s = find(), read_bundle(path), time.monotonic()
    file, spec = bundle.file(graph, precision), bundle.graphs[graph]
    try:
        built = build_engine(library, file, spec, choose_target(library, None, precision, GENERATIONS), lambda *_: None)
    except EdgesegError as error:
        return {"library": str(library), "failed": str(error)}
    return {
        "library": str(library),
        "onnx_mb": round(file.stat().st_size / 1e6, 2),
        "engine_mb": round(len(built.plan) / 1e6, 2),
        "seconds": round(time.monotonic() - begin_s, 2),
        "layers": {name: value for name, value in built.summary.items() if name != "build_s"},
        "peak_memory_mb": round(peak_memory_mb(), 1),
    }


def build_apart(path: str, graph: str, precision: str) -> Json:
    """As `build_here`, in a new process."""
    command = [sys.executable, "-m", "benchmarks.engine_builds", path, "--one", graph, precision]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        return {"failed": ended.stderr[-2000:] or f"exit code {ended.returncode}"}
    found: Json = json.loads(ended.stdout)
    return found


def build_all(paths: list[str]) -> Json:
    """Bundle -> graph -> precision -> what came of it."""
    found: Json = {}
    for path in paths:
        bundle = read_bundle(path)
        graphs = found[f"{bundle.recipe} ({Path(path).name})"] = {}
        for graph, spec in bundle.graphs.items():
            graphs[graph] = {precision: build_apart(path, graph, precision) for precision in spec.files if precision in PRECISIONS}
            print(json.dumps({graph: graphs[graph]}))
    return found


def main() -> None:
    """Build and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE")
    parser.add_argument("--out", type=Path, metavar="FILE")
    parser.add_argument("--one", nargs=2, metavar=("GRAPH", "PRECISION"), help="build this alone and print what came of it")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(build_here(args.bundles[0], *args.one)))
        return
    if args.out is None:
        parser.error("say with --out where to write")
    found = {"conditions": conditions(), "generations": GENERATIONS, "bundles": build_all(args.bundles)}
    args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
