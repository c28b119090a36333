"""Panoptic frames timed in turns, with small untrained nets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.panoptic_frame import NAIVE, UPSNET, VPSNET, Counts, Stream, _opened, bundles_of, measured, moving, net_of, sized
from edgeseg.bundle import Bundle
from edgeseg.families.base import FUSE, KEY
from edgeseg.families.panoptic import BSF, CARRIED_IMAGE
from edgeseg.types import Frame
from export.recipes.base import ExportOptions

HW = (64, 128)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """Of nets of a few channels that find things with any score."""
    ups, vps = sized("upsnet_demo", HW), sized("vpsnet_demo", HW)
    nets = [net_of(one, None) for one in (ups, vps)]
    torch.nn.init.normal_(nets[1].bbox_head.fc_cls.weight, std=1.0)
    options = ExportOptions(proposals=30, detections=8, target="cpu")
    return bundles_of((ups, nets[0]), (vps, nets[1]), tmp_path_factory.mktemp("bundles"), options)


def test_the_naive_form_carries_the_picture_alone(bundles: dict[str, Bundle]) -> None:
    """And computes the features anew; ours carries them too."""
    assert set(bundles[VPSNET].graphs[FUSE].carry.values()) == {BSF, CARRIED_IMAGE}
    for name in (KEY, FUSE):
        assert set(bundles[NAIVE].graphs[name].carry.values()) == {CARRIED_IMAGE}
        assert BSF not in [spec.name for spec in bundles[NAIVE].graphs[name].outputs]


def test_both_forms_find_the_same(bundles: dict[str, Bundle]) -> None:
    """Frame by frame, so that only the work differs."""
    with _opened(bundles[VPSNET], "onnxruntime", 1) as ours, _opened(bundles[NAIVE], "onnxruntime", 1) as naive:
        carries, counts = [None, None], []
        for index, picture in enumerate(moving(HW)[:3]):
            found = [model.key(Frame(picture, index), carry) for model, carry in zip((ours, naive), carries, strict=True)]
            carries = [one.carry for one in found]
            first, second = (one.decoded.candidates for one in found)
            np.testing.assert_allclose(first.boxes, second.boxes, atol=1e-2)
            np.testing.assert_allclose(first.embeddings, second.embeddings, rtol=1e-3, atol=1e-3)
            assert (found[0].decoded.panoptic.ids == found[1].decoded.panoptic.ids).mean() > 0.99
            counts.append(len(first))
    assert min(counts) > 0


def test_each_frame_takes_what_the_one_before_left(bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first of a stream is the key graph's."""
    with _opened(bundles[VPSNET], "onnxruntime", 1) as model:
        ran, run = [], model._run
        monkeypatch.setattr(model, "_run", lambda name, *rest: ran.append(name) or run(name, *rest))
        stream = Stream(model, moving(HW))
        spans = [stream() for _ in range(3)]

    assert ran == [KEY, FUSE, FUSE]
    assert all(list(one) == ["prepare", "infer", "decode"] for one in spans)


def test_the_record_has_every_part_of_every_contender(bundles: dict[str, Bundle]) -> None:
    """Median and 99th percentile of the whole, medians of the parts, and the ratio of the two forms."""
    found = measured(bundles, "onnxruntime", moving(HW), Counts(2, 1), 1)

    assert set(found["timings"]) == {UPSNET, VPSNET, NAIVE}
    for timing in found["timings"].values():
        assert set(timing["parts_median_ms"]) == {"prepare", "infer", "decode"}
        assert (len(timing["values_ms"]), len(timing["warm_up_ms"])) == (2, 1)
    assert found["times_as_fast_as_two_backbones"]["median"] > 0
