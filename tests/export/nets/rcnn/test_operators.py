"""The operators of graphs for CPUs, as PyTorch knows them."""

from __future__ import annotations

import importlib

import pytest
import torch

from export.nets.rcnn import operators
from export.nets.rcnn.detections import Detections


def test_operators_work_under_both_names_of_the_package() -> None:
    """PyTorch frees an operator that is defined a second time, and calling the first then crashes."""
    installed = pytest.importorskip("edgeseg_export.nets.rcnn.operators", reason="the exporter is not installed")
    found = Detections(torch.ones(3, 4), torch.tensor([0.9, 0.8, -1.0]), torch.zeros(3, dtype=torch.int64))

    assert installed is not importlib.import_module(operators.__name__)
    assert not set(installed.translations()) & set(operators.translations())
    for module in (operators, installed):
        assert module.op_of_found(found, lambda boxes, _: boxes)[:, 0].tolist() == [1, 1, 0]
