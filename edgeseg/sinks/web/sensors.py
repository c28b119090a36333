"""Temperatures and power of the machine, where Linux shows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

SYS = Path("/sys")


def temperatures(root: Path = SYS) -> dict[str, float]:
    """Degrees Celsius by thermal zone."""
    zones = sorted(root.glob("class/thermal/thermal_zone*"))
    return dict(_readings(((f"{_text(zone / 'type')} {zone.name.removeprefix('thermal_zone')}", zone / "temp") for zone in zones), 1e-3))


def powers(root: Path = SYS) -> dict[str, float]:
    """Watts by sensor."""
    inputs = sorted(root.glob("class/hwmon/hwmon*/power*_input"))
    return dict(_readings(((_power_name(path), path) for path in inputs), 1e-6))


def _power_name(path: Path) -> str:
    number = path.name.removesuffix("_input")
    return f"{_text(path.parent / 'name')} {_text(path.with_name(f'{number}_label')) or number}"


def _readings(sensors: Iterator[tuple[str, Path]], unit: float) -> Iterator[tuple[str, float]]:
    """What can be read; a sensor that is asleep cannot."""
    for name, path in sensors:
        text = _text(path)
        if text.removeprefix("-").isdecimal():
            yield name.strip(), int(text) * unit


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
