"""What a CUDA graph would save ONNX Runtime: the key graph handed to the GPU node by node, and replayed as one recording.

The runtime does not record: a recording that fails may end the process, and what is carried to another graph could not stay where a
replay writes.

python -m benchmarks.gpu_replay --out FILE.json [BUNDLE ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import edgeseg
from edgeseg.backends import BACKENDS
from edgeseg.backends.onnxruntime.library import library, preload_cuda, quiet
from edgeseg.bundle import Bundle, read_bundle
from edgeseg.sources.synthetic.config import SceneConfig
from edgeseg.sources.synthetic.source import SyntheticSource

from .conditions import conditions
from .gpu import caught, microseconds, write
from .paired import measure

ROUNDS, WARM_UP, PICTURES = 50, 5, 5
BACKEND = "onnxruntime-cuda"
Json = dict[str, Any]
Answers = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """A provider with its options, and the device that it computes on."""

    provider: str = "CUDAExecutionProvider"
    device: str = "cuda"
    options: tuple[tuple[str, str], ...] = (("use_tf32", "0"),)
    recording: tuple[tuple[str, str], ...] = (("enable_cuda_graph", "1"),)


def compare(bundle: Bundle, precision: str, place: Place) -> Json:
    """One graph with its inputs and outputs in fixed places on the device, enqueued and replayed: microseconds, and whether both agree."""
    pictures = list(_pictures(bundle))
    enqueued = _runner(bundle, precision, place, dict(place.options))
    replayed = _runner(bundle, precision, place, {**dict(place.options), **dict(place.recording)})
    wanted, found = ([run(picture) for picture in pictures] for run in (enqueued, replayed))
    repeated = [replayed(picture) for picture in pictures]
    timings = measure({"enqueued": lambda: _only(enqueued, pictures), "replayed": lambda: _only(replayed, pictures)}, ROUNDS, WARM_UP)
    return {
        "largest_difference": {name: max(_difference(a[name], b[name]) for a, b in zip(wanted, found, strict=True)) for name in wanted[0]},
        "replays_repeat": all(np.array_equal(a[name], b[name]) for a, b in zip(found, repeated, strict=True) for name in a),
        "answers_differ_by_picture": any(_difference(found[0][name], found[-1][name]) > 0 for name in found[0]),
        **{name: microseconds(timing.values_s) for name, timing in timings.items()},
    }


def _runner(bundle: Bundle, precision: str, place: Place, options: Mapping[str, str]) -> Callable[[Any], Answers]:
    module, graph = library(), bundle.graphs["key"]
    file, empty = str(bundle.file("key", precision)), module.OrtValue.ortvalue_from_shape_and_type
    session = module.InferenceSession(file, providers=[(place.provider, dict(options))], enable_fallback=0)
    sides = (graph.inputs, graph.outputs)
    inputs, outputs = ({spec.name: empty(spec.shape, np.dtype(spec.dtype).type, place.device, 0) for spec in side} for side in sides)
    binding = session.io_binding()
    for name, value in inputs.items():
        binding.bind_ortvalue_input(name, value)
    for name, value in outputs.items():
        binding.bind_ortvalue_output(name, value)

    def run(picture: Any) -> Answers:
        inputs["image"].update_inplace(picture)
        session.run_with_iobinding(binding)
        return {name: np.array(value.numpy()) for name, value in outputs.items()}

    return run


def _only(run: Callable[[Any], Answers], pictures: list[Any]) -> Mapping[str, float]:
    run(pictures[0])
    return {}


def _pictures(bundle: Bundle) -> Any:
    source = SyntheticSource(SceneConfig(size_hw=bundle.input.size, frame_count=PICTURES, seed=5))
    return (frame.pixels[None].astype(bundle.input.dtype) for frame in source)


def _difference(found: Any, wanted: Any) -> float:
    return float(np.abs(found.astype(np.float64) - wanted).max())


def compare_all(path: str, place: Place) -> Json:
    """Precision -> what `compare` found, of one bundle."""
    bundle = read_bundle(path)
    return {precision: caught(lambda precision=precision: compare(bundle, precision, place)) for precision in bundle.graphs["key"].files}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", metavar="BUNDLE", help="timed besides the one that ships")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    args = parser.parse_args()
    found: Json = {"host": conditions()}
    probe = BACKENDS[BACKEND].probe()
    if not probe.usable:
        found["no_gpu"] = f"{probe.detail} ({probe.remedy})"
        write(args.out, found)
        return
    preload_cuda()
    for path in (str(edgeseg.demo_bundle()), *args.bundles):
        with quiet():
            found[Path(path).name] = compare_all(path, Place())
        # At once: what comes next may end the process.
        write(args.out, found)


if __name__ == "__main__":
    main()
