"""``edgeseg doctor``: what this machine has, what works, and what to install."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import platform
from pathlib import Path
from typing import Any

from edgeseg import __version__
from edgeseg.backends import BACKENDS, Probe
from edgeseg.backends.fake import Fake
from edgeseg.backends.tensorrt.cache import cache_folder
from edgeseg.backends.tensorrt.gpu import find_gpu
from edgeseg.cli.jetson import find_jetson, jetson_rows
from edgeseg.cli.report import table
from edgeseg.data import demo_bundle
from edgeseg.device import DRIVERS, DeviceProbe
from edgeseg.errors import MissingDependencyError
from edgeseg.opencv import build_has, opencv

_EXAMPLES = """The exit code is 0 when at least one backend is usable, else 1.

examples:
  edgeseg doctor
"""
_OPTIONAL = {
    "pycocotools": "average precision; pip install 'edgeseg[eval]'",
    "trackeval": "scores of ids; pip install 'edgeseg[eval]'",
    "torch": "export; pip install 'edgeseg[export]'",
    "rich": "progress bars; pip install rich",
}


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command's parser."""
    parser = subparsers.add_parser(
        "doctor",
        help="show what works on this machine and what to install",
        description="Show Python, OpenCV, the GPU, the backends and the optional packages: what works here and what to install.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(main=main)


def main(_args: argparse.Namespace) -> int:
    """Run the verb; returns the exit code."""
    probes = {name: backend.probe() for name, backend in BACKENDS.items() if not isinstance(backend, Fake)}
    demo = demo_bundle() / "model.json"
    rows = [
        ("edgeseg", __version__),
        ("Python", f"{platform.python_version()} on {platform.platform()} ({platform.machine()})"),
        *(jetson_rows(jetson) if (jetson := find_jetson()) else ()),
        *_opencv_rows(),
        *_gpu_rows(),
        *[(f"backend {name}", _probe_text(probe)) for name, probe in probes.items()],
        ("demo bundle", "present" if demo.is_file() else f"missing: {demo} does not exist. Install edgeseg again."),
        *[(f"optional {name}", _package_text(name, remedy)) for name, remedy in _OPTIONAL.items()],
    ]
    print(table(rows))
    usable = [name for name, probe in probes.items() if probe.usable]
    print(
        f"\nReady: {' and '.join(usable)} can run models." if usable else "\nNot ready: no backend can be used. Install one of those above."
    )
    return 0 if usable else 1


def _opencv_rows() -> list[tuple[str, str]]:
    try:
        version = opencv().__version__
    except MissingDependencyError as error:
        return [("OpenCV", f"not usable: {error}")]
    features = (("GUI", "windows for --show"), ("FFMPEG", "video files"), ("GStreamer", "GStreamer pipelines"))
    return [("OpenCV", version), *[(f"  {name}", f"{'yes' if build_has(name) else 'no'} ({use})") for name, use in features]]


def _gpu_rows() -> list[tuple[str, str]]:
    return [
        ("GPU", str(find_gpu() or "none with an NVIDIA driver")),
        *[(f"  driven by {name}", _probe_text(driver.probe())) for name, driver in DRIVERS.items()],
        ("engine cache", f"{cache_folder()}: {_engines_text(cache_folder())}"),
    ]


def _engines_text(folder: Path) -> str:
    try:
        sizes = [file.stat().st_size for file in folder.glob("*.engine")]
    except OSError as error:
        return f"cannot be read ({error})"
    return f"{len(sizes)} engine{'s' * (len(sizes) != 1)}, {sum(sizes) / 1e6:.1f} MB" if sizes else "no engines"


def _probe_text(probe: Probe | DeviceProbe) -> str:
    if probe.usable:
        return f"usable, {probe.version}, {probe.detail}"
    installed = f"installed ({probe.version}) but not usable" if probe.version else "not installed"
    return f"{installed}: {probe.detail}. {probe.remedy}"


def _package_text(name: str, remedy: str) -> str:
    # Looked up, not imported: torch alone would take seconds, and the runtime never loads it.
    if importlib.util.find_spec(name) is None:
        return f"not installed ({remedy})"
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "present, version not known"
