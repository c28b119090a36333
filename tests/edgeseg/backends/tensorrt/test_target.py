"""What ``--for`` means to each library."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edgeseg.backends.tensorrt.gpu import Gpu
from edgeseg.backends.tensorrt.library import TENSORRT, TENSORRT_RTX, Library
from edgeseg.backends.tensorrt.target import BuildTarget, choose_target, unfit
from edgeseg.errors import BackendError, UsageError

CAPABILITIES = SimpleNamespace(NONE=0, CURRENT=1, SM75=2, SM86=3, SM120=4)
FULL = Library(SimpleNamespace(), TENSORRT, "10.3.0")
RTX = Library(SimpleNamespace(ComputeCapability=CAPABILITIES), TENSORRT_RTX, "1.7")
GPU = Gpu("Orin", (8, 7))
DESKTOP = Gpu("RTX 3060", (8, 6))


def test_this_is_the_gpu_that_is_here():
    """TensorRT builds for it anyway, TensorRT-RTX is told to; where there is none, RTX builds for any."""
    assert choose_target(FULL, GPU, "fp16") == BuildTarget("fp16", (), ("Orin (sm87)",))
    assert choose_target(RTX, DESKTOP, "fp16") == BuildTarget("fp16", ("CURRENT",), ("RTX 3060 (sm86)",))
    assert choose_target(RTX, None, "fp16") == BuildTarget("fp16", (), ("any GPU",))


def test_rtx_is_unfit_for_gpus_that_it_does_not_know():
    """Those of data centres and Jetsons; the sentence names the GPU and what it does know. TensorRT itself runs on all."""
    assert unfit(RTX, GPU) == "TensorRT-RTX 1.7 does not run on Orin (sm87), only on sm75, sm86, sm120"
    assert [unfit(RTX, DESKTOP), unfit(RTX, None), unfit(FULL, GPU)] == ["", "", ""]


def test_no_engine_is_built_for_a_gpu_that_cannot_run_it():
    """Before a build that would fail with a message about something else; engines for other GPUs can still be built there."""
    with pytest.raises(BackendError, match=r"does not run on Orin \(sm87\).*Install TensorRT itself .*--backend onnxruntime-cuda"):
        choose_target(RTX, GPU, "fp32")
    assert choose_target(RTX, GPU, "fp32", ["sm86"]).capabilities == ("SM86",)


def test_generations_are_put_in_order():
    """The same list written otherwise is the same engine."""
    assert choose_target(RTX, None, "fp32", ["sm120", "sm86", "sm120"]) == BuildTarget("fp32", ("SM86", "SM120"), ("sm86", "sm120"))


@pytest.mark.parametrize("wanted", [["sm87"], ["SM86"], ["sm86", "this"], ["current"], [""]])
def test_a_generation_that_the_library_lacks_is_wrong_usage(wanted):
    """The message lists what there is."""
    with pytest.raises(UsageError, match=r"TensorRT-RTX 1\.7 cannot build for .*; it can for sm75, sm86, sm120; or use --for this"):
        choose_target(RTX, GPU, "fp32", wanted)


def test_tensorrt_builds_for_no_other_gpu():
    """Its engines are made where they run."""
    with pytest.raises(UsageError, match="built on the GPU they run on"):
        choose_target(FULL, GPU, "fp32", ["sm86"])


def test_tensorrt_without_a_gpu_builds_nothing():
    """The message says where to build, and what runs here."""
    with pytest.raises(BackendError, match=r"names none here.*--backend onnxruntime"):
        choose_target(FULL, None, "fp32")
