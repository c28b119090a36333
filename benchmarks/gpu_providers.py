"""ONNX Runtime's GPU providers in every precision of some bundles, against torch's eager mode where a recipe's net is at hand.

python -m benchmarks.gpu_providers --out FILE.json [BUNDLE ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import edgeseg
from edgeseg.backends import BACKENDS
from edgeseg.bundle import Bundle, read_bundle

from .conditions import conditions
from .frame import frame, ours
from .gpu import caught, differences, microseconds, picture, write
from .paired import measure

PROVIDERS = ("onnxruntime-cuda", "onnxruntime-tensorrt", "onnxruntime-tensorrt-rtx")
ROUNDS, WARM_UP = 100, 15
Json = dict[str, Any]


def provider(name: str, bundles: list[str]) -> Json:
    """One provider on all bundles."""
    probe = BACKENDS[name].probe()
    if not probe.usable:
        return {"not_usable": f"{probe.detail} ({probe.remedy})"}
    return {Path(path).name: caught(lambda path=path: _bundle(name, read_bundle(path))) for path in (str(edgeseg.demo_bundle()), *bundles)}


def _bundle(name: str, bundle: Bundle) -> Json:
    """Every graph in every precision: where it runs, how near to the CPU, and all precisions timed in turns."""
    found: Json = {precision: caught(lambda precision=precision: _checked(name, bundle, precision)) for precision in _precisions(bundle)}
    found["timed"] = caught(lambda: _timed(name, bundle))
    return found


def _precisions(bundle: Bundle) -> list[str]:
    return list(bundle.graphs["key"].files)


def _checked(name: str, bundle: Bundle, precision: str) -> Json:
    feeds = {"image": picture(bundle)}
    found: Json = {}
    with ExitStack() as held:
        carries: dict[str, Mapping[str, Any]] = {}
        for graph, spec in bundle.graphs.items():
            answers = {}
            for backend in (name, "onnxruntime"):
                session = held.enter_context(BACKENDS[backend].open(bundle.file(graph, precision), spec, precision, None))
                answers[backend], carry = session.run_carrying(feeds, {} if graph == "key" else carries[backend])
                carries[backend] = carry or carries.get(backend, {})
                found.setdefault(graph, {}).setdefault("runs_on", {})[backend] = session.runs_on
            found[graph]["differs_from_cpu"] = differences(answers[name], answers["onnxruntime"])
    return found


def _timed(name: str, bundle: Bundle) -> Json:
    """A 1080p frame in, run-length masks out."""
    shown = frame()
    with ExitStack() as held:
        models = {
            precision: held.enter_context(edgeseg.load(bundle.path, backend=name, precision=precision))
            for precision in _precisions(bundle)
            if _opens(name, bundle, precision)
        }
        timings = measure({precision: ours(model, shown) for precision, model in models.items()}, ROUNDS, WARM_UP)
    return {
        precision: {"frame": microseconds(timing.values_s), **{part: microseconds(values) for part, values in timing.parts_s.items()}}
        for precision, timing in timings.items()
    }


def _opens(name: str, bundle: Bundle, precision: str) -> bool:
    return "failed" not in caught(lambda: _opened(name, bundle, precision))


def _opened(name: str, bundle: Bundle, precision: str) -> Json:
    with BACKENDS[name].open(bundle.file("key", precision), bundle.graphs["key"], precision, None):
        return {}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", metavar="BUNDLE", help="timed besides the one that ships")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    args = parser.parse_args()
    found: Json = {"host": conditions()}
    for name in PROVIDERS:
        found[name] = caught(_work(name, args.bundles))
        # At once: there may be no time left for the next.
        write(args.out, found)


def _work(name: str, bundles: list[str]) -> Callable[[], Json]:
    return lambda: provider(name, bundles)


if __name__ == "__main__":
    main()
