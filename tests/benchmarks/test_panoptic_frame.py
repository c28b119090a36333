"""Panoptic frames timed in turns, with small untrained nets."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.panoptic_frame import NAIVE, UPSNET, VPSNET, Counts, Stream, bundles_of, measured, moving, net_of, sized
from benchmarks.two_backbones import naive_graphs
from edgeseg.families import Decoded
from edgeseg.families.base import FUSE, KEY
from edgeseg.families.panoptic import BSF, CARRIED_IMAGE
from edgeseg.model import Inference
from export.nets.rcnn.graph import GraphSpec
from export.recipes.base import ExportOptions

HW = (64, 128)
OPTIONS = ExportOptions(proposals=30, detections=8, target="cpu")


def test_the_naive_form_finds_the_same_from_the_picture_alone() -> None:
    """It computes the features of the frame before anew, where ours are handed on, so that only the work differs."""
    vps = sized("vpsnet_demo", HW)
    net = net_of(vps, None)
    torch.nn.init.normal_(net.bbox_head.fc_cls.weight, std=1.0)
    carrying = vps.graphs(net, OPTIONS)
    naive = naive_graphs(net, GraphSpec(vps.input_hw, 30, 8, "cpu"), carrying[KEY].outputs)
    before, now = (torch.from_numpy(picture[None]) for picture in moving(HW)[:2])
    with torch.inference_mode():
        ours = dict(zip(carrying[KEY].outputs, carrying[KEY].module(before), strict=True))
        theirs = dict(zip(naive[KEY].outputs, naive[KEY].module(before), strict=True))
        _require_same(ours, theirs)
        ours = dict(zip(carrying[FUSE].outputs, carrying[FUSE].module(now, ours[BSF], ours[CARRIED_IMAGE]), strict=True))
        theirs = dict(zip(naive[FUSE].outputs, naive[FUSE].module(now, theirs[CARRIED_IMAGE]), strict=True))
        _require_same(ours, theirs)

    assert (ours["scores"] > 0).any()
    for graph in naive.values():
        assert set(graph.carry.values()) == {CARRIED_IMAGE}


def _require_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert set(ours) - set(theirs) == {BSF}
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-4, atol=1e-4, msg=name)


def test_each_frame_takes_what_the_one_before_left() -> None:
    """The first of a stream has nothing; the parts of each frame's time are handed out."""
    taken = []

    class Made:
        """In place of a model."""

        def key(self, frame: object, before: object) -> Inference:  # noqa: ARG002  the model's arguments
            taken.append(before)
            return Inference(Decoded(), len(taken), {"infer": 1.0})

    stream = Stream(Made(), moving(HW))

    assert [stream() for _ in range(3)] == [{"infer": 1.0}] * 3
    assert taken == [None, 1, 2]


@pytest.mark.slow
def test_the_record_has_every_part_of_every_contender(tmp_path: Path) -> None:
    """Median and 99th percentile of the whole, medians of the parts, and the ratio of the two forms."""
    ups, vps = sized("upsnet_demo", HW), sized("vpsnet_demo", HW)
    bundles = bundles_of((ups, net_of(ups, None)), (vps, net_of(vps, None)), tmp_path, OPTIONS)

    found = measured(bundles, "onnxruntime", moving(HW), Counts(2, 1), 1)

    assert set(found["timings"]) == {UPSNET, VPSNET, NAIVE}
    for timing in found["timings"].values():
        assert set(timing["parts_median_ms"]) == {"prepare", "infer", "decode"}
        assert (len(timing["values_ms"]), len(timing["warm_up_ms"])) == (2, 1)
    assert found["times_as_fast_as_two_backbones"]["median"] > 0
