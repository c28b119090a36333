"""What the machine itself says while something is measured: clocks, temperature, power, and who else works on it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgeseg.benchmark.machine import read_text
from edgeseg.benchmark.nvml import GpuReading

INTERVAL_S = 1.0
"""Between two readings: one takes about a millisecond, in which no frame is timed."""
_JIFFIES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_WHOLE_BOARD = ("VDD_IN", "VIN", "POM_5V_IN")
"""Rails that feed all others on Jetson boards."""


@dataclass(frozen=True)
class Reading:
    """One look at the machine; None is what it does not tell."""

    at_s: float
    """Seconds of a monotonic clock."""
    clock_mhz: float | None = None
    """Mean over the processors."""
    temperature_c: float | None = None
    """Of the hottest zone."""
    throttled: int | None = None
    """How often the processors have slowed down because of heat, since the start of the system."""
    energy_j: float | None = None
    """A counter of what the processors have taken."""
    power_w: float | None = None
    """What a Jetson takes at this moment."""
    busy_s: float | None = None
    """Processor time of all programs together, since the start of the system."""
    steal_s: float | None = None
    """Processor time that a virtual machine wanted and did not get."""
    own_s: float = 0.0
    """Processor time of this process."""
    load_1_min: float | None = None
    """Programs that wanted a processor, mean of the last minute."""
    gpu: GpuReading | None = None
    """An NVIDIA GPU, where it is watched."""


def read_sensors(root: Path = Path("/"), gpu: Callable[[], GpuReading] | None = None) -> Reading:
    """Look at the machine, below ``root``, and at a GPU."""
    jiffies = _jiffies(root)
    busy = sum(jiffies[name] for name in ("user", "nice", "system", "irq", "softirq")) if jiffies else None
    return Reading(
        at_s=time.monotonic(),
        clock_mhz=_clock_mhz(root),
        temperature_c=max((value / 1e3 for value in _numbers(root, "sys/class/thermal/thermal_zone*/temp")), default=None),
        throttled=_throttled(root),
        energy_j=_energy_j(root),
        power_w=_power_w(root),
        busy_s=busy,
        steal_s=jiffies["steal"] if jiffies else None,
        own_s=time.process_time(),
        load_1_min=_load(root),
        gpu=None if gpu is None else gpu(),
    )


@dataclass
class Watch:
    """Readings at the beginning, at most one a second meanwhile, and one at the end."""

    read: Callable[[], Reading] = read_sensors
    clock: Callable[[], float] = time.monotonic
    readings: list[Reading] = field(default_factory=list)
    _next_s: float = 0.0

    def look(self, *, now: bool = False) -> None:
        """Read if it is time, or ``now``."""
        if now or self.clock() >= self._next_s:
            self.readings.append(self.read())
            self._next_s = self.clock() + INTERVAL_S


def energy_j(readings: Sequence[Reading]) -> float | None:
    """Joules from the first reading to the last, of what is told of: processors or board, and GPU. None where nothing is."""
    gpus = [reading.gpu or GpuReading() for reading in readings]
    lasted_s = readings[-1].at_s - readings[0].at_s
    parts = [_part_j(readings, lasted_s), _part_j(gpus, lasted_s)]
    known = [joules for joules in parts if joules is not None]
    return sum(known) if known else None


def _part_j(looks: Sequence[Reading] | Sequence[GpuReading], lasted_s: float) -> float | None:
    """By the counter, else by the mean power; None without either."""
    first_j, last_j = looks[0].energy_j, looks[-1].energy_j
    if first_j is not None and last_j is not None and last_j >= first_j:
        return last_j - first_j
    power_w = [look.power_w for look in looks if look.power_w is not None]
    return float(np.mean(power_w)) * lasted_s if power_w else None


def _clock_mhz(root: Path) -> float | None:
    khz = _numbers(root, "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")
    if not khz:
        khz = [float(found) * 1e3 for found in re.findall(r"^cpu MHz\s*: ([\d.]+)", read_text(root / "proc/cpuinfo"), re.MULTILINE)]
    return float(np.mean(khz)) / 1e3 if khz else None


def _throttled(root: Path) -> int | None:
    counts = _numbers(root, "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count")
    return int(sum(counts)) if counts else None


def _energy_j(root: Path) -> float | None:
    """Of whole packages: what lies below is part of them."""
    joules = [value / 1e6 for value in _numbers(root, "sys/class/powercap/intel-rapl:[0-9]/energy_uj")]
    return sum(joules) if joules else None


def _power_w(root: Path) -> float | None:
    """Of a Jetson's power monitor (INA3221): the rail that feeds all, else the sum of those there are."""
    rails: dict[str, float] = {}
    for label in root.glob("sys/class/hwmon/hwmon*/in[0-9]_label"):
        number = label.name[2]
        volts, amperes = (read_text(label.with_name(name)) for name in (f"in{number}_input", f"curr{number}_input"))
        if volts.isdecimal() and amperes.isdecimal():
            rails[read_text(label)] = int(volts) * int(amperes) / 1e6
    whole = [rails[name] for name in _WHOLE_BOARD if name in rails]
    return next(iter(whole), sum(rails.values())) if rails else None


def _jiffies(root: Path) -> dict[str, float]:
    """Seconds of all processors by what they did; empty where the system does not say."""
    words = read_text(root / "proc/stat").partition("\n")[0].split()
    if len(words) < 1 + len(_JIFFIES):
        return {}
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    return {name: int(word) / ticks_per_s for name, word in zip(_JIFFIES, words[1:], strict=False)}


def _load(root: Path) -> float | None:
    words = read_text(root / "proc/loadavg").split()
    return float(words[0]) if words else None


def _numbers(root: Path, pattern: str) -> list[float]:
    """What files hold that are a whole number and can be read."""
    return [float(text) for text in _texts(root, pattern) if text.lstrip("-").isdecimal()]


def _texts(root: Path, pattern: str) -> Iterator[str]:
    return (read_text(file) for file in sorted(root.glob(pattern)))
