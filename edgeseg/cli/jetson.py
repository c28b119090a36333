"""What ``edgeseg doctor`` says of an NVIDIA Jetson, whose TensorRT and OpenCV come with JetPack and not from pip."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

_JETPACKS = {"32": "JetPack 4", "35": "JetPack 5", "36": "JetPack 6", "38": "JetPack 7"}
"""Major release of Jetson Linux (L4T) -> the JetPack that it belongs to."""
_SYSTEM = "/usr/lib/"
"""Where packages of the system lie; what pip installs lies in a virtual environment or in /usr/local/lib."""


@dataclass(frozen=True)
class Jetson:
    """The board that this is."""

    model: str
    release: str
    """Of Jetson Linux, such as 36.4.3; empty where it is not told, as in many containers."""

    @property
    def jetpack(self) -> str:
        """The JetPack of that release."""
        if not self.release:
            return "release not told: there is no /etc/nv_tegra_release"
        return _JETPACKS.get(self.release.partition(".")[0], "a JetPack that this edgeseg does not know")


def find_jetson(root: Path = Path("/")) -> Jetson | None:
    """The board, by the files that Jetson Linux has; None anywhere else."""
    model = _text(root / "proc/device-tree/model").strip("\0\n ")
    match = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", _text(root / "etc/nv_tegra_release"))
    if match is None and "Jetson" not in model:
        return None
    return Jetson(model or "a Jetson", f"{match[1]}.{match[2]}" if match else "")


def jetson_rows(jetson: Jetson) -> list[tuple[str, str]]:
    """What decides on a Jetson whether TensorRT and cameras work."""
    return [
        ("Jetson", f"{jetson.model}, {f'L4T {jetson.release}, ' if jetson.release else ''}{jetson.jetpack}"),
        *((f"  {word}", origin_text(package)) for word, package in (("TensorRT", "tensorrt"), ("OpenCV", "cv2"))),
    ]


def origin_text(package: str) -> str:
    """Whether a package that JetPack brings is the system's, and what to do if not. Looked up, not imported."""
    spec = importlib.util.find_spec(package)
    place = "" if spec is None else (spec.origin or next(iter(spec.submodule_search_locations or ()), ""))
    if not place:
        return "not found: the system's is seen in a virtual environment made with --system-site-packages (docs/jetson.md)"
    if place.startswith(_SYSTEM):
        return f"the system's, {place}"
    return f"not the system's but {place}, which hides it: uninstall that package with pip (docs/jetson.md)"


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
