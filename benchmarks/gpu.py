"""What a GPU machine is, and how fast the device seam and the engines are on it. benchmarks/run_gpu.sh calls it part by part.

python -m benchmarks.gpu machine|seam|graphs --out FILE.json [BUNDLE ...]
python -m benchmarks.gpu summary --folder FOLDER
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import time
import traceback
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np

import edgeseg
from edgeseg.backends import BACKENDS
from edgeseg.backends.base import Carried, Session
from edgeseg.backends.tensorrt import Parts, TensorRt
from edgeseg.bundle import Bundle, read_bundle
from edgeseg.device import DRIVERS, CaptureError, Device, DeviceProbe, Driver, choose_device
from edgeseg.sources.synthetic.config import SceneConfig
from edgeseg.sources.synthetic.source import SyntheticSource

from .conditions import conditions
from .paired import measure

ROUNDS, WARM_UP = 300, 30
REFERENCE_ROUNDS = 10
PACKAGES = ("tensorrt", "cuda", "pycuda", "nvidia", "torch", "onnx", "numpy", "opencv", "pytest")
QUERY = "name,driver_version,memory.total,clocks.sm,clocks.max.sm,power.limit,temperature.gpu,pstate"
Json = dict[str, Any]


def machine(_: list[str]) -> Json:
    """GPU, driver, CUDA and package versions, and what each package says of the GPU."""
    names = {d.metadata["Name"]: d.version for d in distributions() if d.metadata["Name"]}
    return {
        "gpu": _gpu(),
        "cuda_driver": _driver_version(),
        "packages": {name: version for name, version in sorted(names.items()) if name.lower().startswith(PACKAGES)},
        "drivers": {name: vars(driver.probe()) for name, driver in DRIVERS.items()},
        "tensorrt": vars(BACKENDS["tensorrt"].probe()),
        "host": conditions(),
    }


def seam(_: list[str]) -> Json:
    """What each package costs: a small copy there and back with waiting, and replayed against plain enqueueing, microseconds."""
    return {name: caught(lambda driver=driver: _seam(driver)) for name, driver in DRIVERS.items()}


def _seam(driver: Driver) -> Json:
    probe = driver.probe()
    if not probe.usable:
        return {"no_gpu": f"{probe.detail} ({probe.remedy})"}
    with driver.open() as device, device.active(), ExitStack() as held:
        stream, host, back = held.enter_context(device.stream()), *(held.enter_context(device.pinned(550 * 550 * 3)) for _ in range(2))
        buffer = held.enter_context(device.alloc(host.array.nbytes))

        def work() -> None:
            device.h2d(buffer, host.array, stream)
            device.d2h(back.array, buffer, stream)

        def copies() -> Json:
            work()
            stream.synchronize()
            return {}

        recording = held.enter_context(device.capture(stream, work))

        def replayed() -> Json:
            recording.launch(stream)
            stream.synchronize()
            return {}

        def entering() -> Json:
            with device.active():
                return {}

        contenders = {"copies": copies, "replayed": replayed, "active": entering}
        timings = measure(contenders, 1000, 100)
        return {"by": device.driven_by, **{name: microseconds(timing.values_s) for name, timing in timings.items()}}


def graphs(bundles: list[str]) -> Json:
    """Every graph of every bundle in every precision: to open, to run, replayed and enqueued, and how near to ONNX Runtime's CPU."""
    found: Json = {}
    for path in (str(edgeseg.demo_bundle()), *bundles):
        found[Path(path).name] = caught(lambda path=path: _bundle(read_bundle(path)))
    return found


def _bundle(bundle: Bundle) -> Json:
    probe = BACKENDS["tensorrt"].probe()
    if not probe.usable:
        return {"no_gpu": f"{probe.detail} ({probe.remedy})"}
    precisions = list(bundle.graphs["key"].files)
    return {precision: caught(lambda precision=precision: _precision(bundle, precision)) for precision in precisions}


def _precision(bundle: Bundle, precision: str) -> Json:
    feeds = {"image": picture(bundle)}
    backends = {"replayed": TensorRt(), "enqueued": TensorRt(Parts(choose_device=_without_capture)), "onnxruntime": BACKENDS["onnxruntime"]}
    found: Json = {}
    carries: dict[str, Mapping[str, Carried]] = {name: {} for name in backends}
    with ExitStack() as held:
        for graph, spec in bundle.graphs.items():
            opened = {}
            begin_s = time.perf_counter()
            for name, backend in backends.items():
                opened[name] = held.enter_context(backend.open(bundle.file(graph, precision), spec, precision, None))
                if name == "replayed":
                    built_s = time.perf_counter() - begin_s
            own = {name: carries[name] if graph != "key" else {} for name in backends}
            runs = {name: _run(session, feeds, own[name]) for name, session in opened.items()}
            answers = {name: run() for name, run in runs.items()}
            if graph == "key":
                carries = {name: carry for name, (_, carry) in answers.items()}
            found[graph] = {
                "open_s": round(built_s, 3),
                "runs_on": {name: session.runs_on for name, session in opened.items()},
                "differs_from_onnxruntime": differences(answers["replayed"][0], answers["onnxruntime"][0]),
                "differs_enqueued_from_replayed": differences(answers["enqueued"][0], answers["replayed"][0]),
                **_times(opened, runs),
            }
    return found


def _run(session: Session, feeds: Mapping[str, Any], carried: Mapping[str, Carried]) -> Callable[[], tuple[Any, Mapping[str, Carried]]]:
    return lambda: session.run_carrying(feeds, carried)


def _times(opened: Mapping[str, Session], runs: Mapping[str, Callable[[], object]]) -> Json:
    def contender(name: str) -> Callable[[], Mapping[str, float]]:
        def work() -> Mapping[str, float]:
            runs[name]()
            return {"device": opened[name].device_s} if hasattr(opened[name], "device_s") else {}

        return work

    fast = measure({name: contender(name) for name in ("replayed", "enqueued")}, ROUNDS, WARM_UP)
    slow = measure({"onnxruntime": contender("onnxruntime")}, REFERENCE_ROUNDS, 2)
    found = {}
    for name, timing in {**fast, **slow}.items():
        found[name] = {"wall": microseconds(timing.values_s), "warm_up": microseconds(timing.warm_up_s)}
        found[name] |= {part: microseconds(values) for part, values in timing.parts_s.items()}
    return found


def _without_capture() -> tuple[Driver | None, DeviceProbe]:
    """The usual device, of which no work can be captured."""
    driver, probe = choose_device()

    class Plain(Driver):
        name = driver.name if driver else ""

        def probe(self) -> DeviceProbe:
            return probe

        def open(self) -> Device:
            def refuse(*_: object) -> None:
                raise CaptureError("switched off here")

            device = driver.open()
            device.capture = refuse
            return device

    return (Plain() if driver else None), probe


def picture(bundle: Bundle) -> Any:
    """A made-up frame at the network's size, as its input."""
    height, width = bundle.input.size
    frame = next(iter(SyntheticSource(SceneConfig(size_hw=(height, width), frame_count=1, seed=5))))
    return frame.pixels[None].astype(bundle.input.dtype)


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Json:
    """Largest difference of each output, and the largest value that it should have."""
    return {
        name: {"max": float(np.abs(found[name].astype(np.float64) - wanted[name]).max()), "largest": float(np.abs(wanted[name]).max())}
        for name in wanted
    }


def summary(folder: Path) -> Json:
    """All parts in one."""
    parts = [line.split() for line in (folder / "parts.txt").read_text().splitlines()]
    found: Json = {
        "parts": [
            {"name": name, "exit": int(code), "timed_out": code in ("124", "137"), "seconds": int(seconds), "limit_s": int(limit)}
            for name, code, seconds, limit in parts
        ]
    }
    for name, *_ in parts:
        report, xml = folder / f"{name}.json", folder / f"{name}.xml"
        if report.is_file():
            found[name] = json.loads(report.read_text())
        elif xml.is_file():
            found[name] = list(_outcomes(xml))
        else:
            found[name] = {"log": (folder / f"{name}.log").read_text(errors="replace")[-4000:]}
    return found


def _outcomes(xml: Path) -> Iterator[Json]:
    for case in ET.parse(xml).getroot().iter("testcase"):  # noqa: S314  pytest wrote it a moment ago
        verdicts = [child for child in case if child.tag in ("failure", "error", "skipped")]
        yield {
            "test": case.get("name"),
            "outcome": verdicts[0].tag if verdicts else "passed",
            "seconds": float(case.get("time", 0)),
            **({"why": (verdicts[0].get("message") or "")[:1000]} if verdicts else {}),
        }


def _gpu() -> Json:
    command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        return {"no_gpu": str(error)}
    return dict(zip(QUERY.split(","), (word.strip() for word in done.stdout.splitlines()[0].split(",")), strict=False))


def _driver_version() -> str:
    version = ctypes.c_int()
    try:
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except OSError as error:
        return f"no GPU: {error}"
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


def microseconds(values_s: tuple[float, ...]) -> Json:
    """Median, 99th percentile and least of durations."""
    low, middle, high = np.percentile(values_s, [0, 50, 99]) * 1e6
    return {"median_us": round(middle, 2), "p99_us": round(high, 2), "min_us": round(low, 2), "count": len(values_s)}


def caught(work: Callable[[], Json]) -> Json:
    """What ``work`` gives, or how it failed."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001  whatever it is, the next part is to be measured
        return {"failed": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()[-3000:]}


def write(file: Path, found: Json) -> None:
    """A record."""
    file.write_text(json.dumps(found, indent=1, default=str) + "\n", encoding="utf-8")


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("machine", "seam", "graphs", "summary"))
    parser.add_argument("bundles", nargs="*")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    if args.part == "summary":
        found, out = summary(args.folder), args.folder / "gpu.json"
    else:
        found, out = caught(lambda: {"machine": machine, "seam": seam, "graphs": graphs}[args.part](args.bundles)), args.out
    write(out, found)
    print(f"{args.part}: {out}")


if __name__ == "__main__":
    main()
