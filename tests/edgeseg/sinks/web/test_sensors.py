"""Sensors as Linux shows them in files."""

from __future__ import annotations

from edgeseg.sinks.web.sensors import powers, temperatures


def test_zones_and_sensors_are_read_in_their_units(tmp_path):
    """Millidegrees become degrees, microwatts watts; what cannot be read is left out."""
    for name, kind, value in (
        ("thermal_zone0", "cpu-thermal", "45500"),
        ("thermal_zone1", "gpu-thermal", "-1200"),
        ("thermal_zone2", "off", ""),
    ):
        zone = tmp_path / "class/thermal" / name
        zone.mkdir(parents=True)
        (zone / "type").write_text(kind + "\n")
        (zone / "temp").write_text(value + "\n")
    chip = tmp_path / "class/hwmon/hwmon3"
    chip.mkdir(parents=True)
    for name, text in (("name", "ina3221"), ("power1_input", "5250000"), ("power1_label", "VDD_IN"), ("power2_input", "1000000")):
        (chip / name).write_text(text + "\n")

    assert temperatures(tmp_path) == {"cpu-thermal 0": 45.5, "gpu-thermal 1": -1.2}
    assert powers(tmp_path) == {"ina3221 VDD_IN": 5.25, "ina3221 power2": 1.0}


def test_machine_without_sensors_has_no_readings(tmp_path):
    """Nothing is made up."""
    assert temperatures(tmp_path) == powers(tmp_path) == {}
