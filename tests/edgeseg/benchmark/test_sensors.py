"""What a machine's files say, by made-up files."""

from __future__ import annotations

import pytest

from edgeseg.benchmark.nvml import GpuReading
from edgeseg.benchmark.sensors import Reading, Watch, energy_j, read_sensors


@pytest.fixture
def write(tmp_path):
    """Puts text into a file below the made-up root."""

    def put(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")

    return put


def test_a_machine_that_says_nothing_gives_nothing(tmp_path):
    """No file, no number, no error."""
    found = read_sensors(tmp_path)

    assert found == Reading(found.at_s, own_s=found.own_s)


def test_files_of_a_pc_are_read(tmp_path, write):
    """Clock, heat, counters and load, in their units."""
    for cpu, khz, count in ((0, 2000000, 1), (1, 3000000, 2)):
        write(f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq", str(khz))
        write(f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle/core_throttle_count", str(count))
    write("sys/class/thermal/thermal_zone0/temp", "41000")
    write("sys/class/thermal/thermal_zone1/temp", "52500")
    write("sys/class/powercap/intel-rapl:0/energy_uj", "7000000")
    write("sys/class/powercap/intel-rapl:0:0/energy_uj", "3000000")
    write("proc/stat", "cpu  100 200 300 999 999 10 20 500 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0")
    write("proc/loadavg", "1.25 0.5 0.1 1/100 4")

    found = read_sensors(tmp_path)

    assert (found.clock_mhz, found.temperature_c, found.throttled, found.energy_j, found.power_w) == (2500, 52.5, 3, 7, None)
    assert (found.busy_s, found.steal_s, found.load_1_min) == (pytest.approx(6.3), pytest.approx(5), 1.25)


def test_a_clock_without_cpufreq_is_that_of_cpuinfo(tmp_path, write):
    """As in most virtual machines."""
    write("proc/cpuinfo", "processor : 0\ncpu MHz\t\t: 2000.5\n\nprocessor : 1\ncpu MHz\t\t: 3000.5")

    assert read_sensors(tmp_path).clock_mhz == 2500.5


@pytest.mark.parametrize(("labels", "watts"), [(("VDD_IN", "VDD_CPU"), 10), (("VDD_GPU", "VDD_CPU"), 12)])
def test_power_of_a_jetson_is_that_of_the_rail_that_feeds_all(tmp_path, write, labels, watts):
    """5 V times 2 A, and 5 V times 0.4 A; without such a rail the sum."""
    for number, (label, milliamperes) in enumerate(zip(labels, (2000, 400), strict=True), 1):
        write(f"sys/class/hwmon/hwmon3/in{number}_label", label)
        write(f"sys/class/hwmon/hwmon3/in{number}_input", "5000")
        write(f"sys/class/hwmon/hwmon3/curr{number}_input", str(milliamperes))

    assert read_sensors(tmp_path).power_w == watts


def test_files_that_hold_no_number_are_passed_over(tmp_path, write):
    """Some zones say nothing while their driver sleeps."""
    write("sys/class/thermal/thermal_zone0/temp", "N/A")
    write("proc/stat", "cpu 1 2")

    assert (read_sensors(tmp_path).temperature_c, read_sensors(tmp_path).busy_s) == (None, None)


@pytest.mark.parametrize(
    ("readings", "joules"),
    [
        ([{"energy_j": 5.0}, {"energy_j": 25.0}], 20),
        ([{"energy_j": 25.0}, {"energy_j": 5.0}], None),
        ([{"power_w": 3.0}, {"power_w": 5.0}], 8),
        ([{"power_w": 3.0, "gpu": GpuReading(power_w=50.0)}, {"power_w": 5.0, "gpu": GpuReading(power_w=70.0)}], 128),
        ([{"gpu": GpuReading(energy_j=1000.0)}, {"gpu": GpuReading(energy_j=1090.0)}], 90),
        ([{}, {}], None),
    ],
)
def test_energy_is_of_the_counter_or_of_the_mean_power(readings, joules):
    """Two seconds; a counter that began anew says nothing, and what a GPU takes is added."""
    assert energy_j([Reading(2.0 * i, **given) for i, given in enumerate(readings)]) == joules


def test_a_gpu_is_looked_at_where_one_is_watched(tmp_path):
    """Beside the files of the machine."""
    assert read_sensors(tmp_path, lambda: GpuReading(1000.0)).gpu == GpuReading(1000.0)


def test_a_watch_looks_once_a_second():
    """And whenever it must."""
    times = iter([0.0, 0.0, 0.5, 1.0, 1.0, 1.5, 1.5])
    watch = Watch(lambda: Reading(0.0), lambda: next(times))
    for _ in range(3):
        watch.look()
    assert len(watch.readings) == 2
    watch.look(now=True)
    assert len(watch.readings) == 3
