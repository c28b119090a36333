"""The official YOLACT, YOLACT++ and YolactEdge image configurations, and the small net of the demo."""

from __future__ import annotations

from dataclasses import replace

from edgeseg.sources.synthetic import LABELS as SYNTHETIC_LABELS

from ..nets.config import BackboneSpec, YolactConfig
from .labels import COCO, PASCAL, YOUTUBE_VIS

_RESNET101 = BackboneSpec("resnet", selected=(1, 2, 3), blocks=(3, 4, 23, 3))
_RESNET50 = replace(_RESNET101, blocks=(3, 4, 6, 3))
_SCALES_550 = ((24.0,), (48.0,), (96.0,), (192.0,), (384.0,))

_BASE = YolactConfig("yolact_base", COCO, _RESNET101, size=550, scales=_SCALES_550)
_RESNET50_COCO = replace(_BASE, name="yolact_resnet50", backbone=_RESNET50)
_PLUS_BASE = replace(
    _BASE,
    name="yolact_plus_base",
    backbone=replace(_RESNET101, dcn_blocks=(0, 4, 23, 3), dcn_interval=3),
    scales=tuple(tuple(side * 2 ** (third / 3) for third in range(3)) for (side,) in _SCALES_550),
    square_anchors=False,
    mask_iou=True,
)
_YOUTUBE_VIS = replace(_BASE, name="yolact_edge_youtubevis", labels=YOUTUBE_VIS)

_DEMO = YolactConfig(
    "yolact_demo",
    tuple(label for label in SYNTHETIC_LABELS if label.is_thing),
    BackboneSpec("resnet", selected=(1, 2, 3), blocks=(2, 2, 3, 2), base_width=16),
    size=320,
    scales=((20.0,), (40.0,), (80.0,), (150.0,), (240.0,)),
    square_anchors=False,
    fpn_channels=64,
    proto_channels=64,
    head_channels=64,
    mask_dim=16,
)
"""The net that ships with edgeseg; trained by ``python -m export.training``."""

CONFIGS: tuple[YolactConfig, ...] = (
    _BASE,
    _RESNET50_COCO,
    replace(
        _BASE,
        name="yolact_darknet53",
        backbone=BackboneSpec("darknet", selected=(2, 3, 4), blocks=(1, 2, 8, 8, 4), base_width=32),
        normalisation="darknet",
    ),
    replace(_BASE.with_size(400), name="yolact_im400"),
    replace(_BASE.with_size(700), name="yolact_im700"),
    replace(
        _RESNET50_COCO,
        name="yolact_resnet50_pascal",
        labels=PASCAL,
        scales=((32.0,), (64.0,), (128.0,), (256.0,), (512.0,)),
        square_anchors=False,
    ),
    _PLUS_BASE,
    replace(
        _PLUS_BASE,
        name="yolact_plus_resnet50",
        backbone=replace(_RESNET50, dcn_blocks=(0, 4, 6, 3)),
    ),
    replace(_BASE, name="yolact_edge"),
    replace(_RESNET50_COCO, name="yolact_edge_resnet50"),
    replace(_BASE, name="yolact_edge_mobilenetv2", backbone=BackboneSpec("mobilenetv2", selected=(3, 4, 6))),
    _YOUTUBE_VIS,
    replace(_YOUTUBE_VIS, name="yolact_edge_youtubevis_resnet50", backbone=_RESNET50),
    _DEMO,
)
