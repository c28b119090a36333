"""What is known of this machine."""

from __future__ import annotations

import numpy as np

import edgeseg
from edgeseg.benchmark.machine import cpu_name, machine, memory_mib


def test_machine_names_processor_and_packages():
    """Without packages that are not there."""
    found = machine()

    assert found["cores"] >= 1
    assert found["packages"]["numpy"] == np.__version__
    assert found["packages"]["edgeseg"] == edgeseg.__version__
    assert "" not in found["packages"].values()


def test_processor_is_named_by_cpuinfo(tmp_path):
    """Else by Python, if at all."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text("processor : 0\nmodel name\t: Abacus 9\nprocessor : 1\nmodel name\t: Abacus 9\n")

    assert cpu_name(tmp_path) == "Abacus 9"


def test_memory_is_told_in_mebibytes_or_not_at_all():
    """More than ten, less than a hundred thousand."""
    held = memory_mib()

    assert held is None or 10 < held < 100_000
