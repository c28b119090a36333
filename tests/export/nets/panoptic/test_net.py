"""UPSNet and VPSNet: key names, what their parts take and give, and the arithmetic of those without an equal elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.types import F32Array
from export.nets.panoptic.net import Normalise, UpsNet, VpsNet
from export.nets.panoptic.resnet import UpsBody
from export.nets.panoptic.semantic import UpsSemantic, VpsSemantic
from export.recipes import recipe
from tests.export.nets.panoptic.facts import OFFICIAL, SMALL_TRACK, SMALL_UPS, SMALL_VPS, filled, whole_manifest

SMALL = (SMALL_UPS, SMALL_TRACK, SMALL_VPS)


@pytest.mark.parametrize("name", OFFICIAL)
def test_names_and_shapes_are_those_of_the_published_files(name: str) -> None:
    """Every entry of the official state dict, no more and no less, FlowNet2's included."""
    with torch.device("meta"):
        net = recipe(name).build_net()

    assert {key: tuple(value.shape) for key, value in net.state_dict().items()} == whole_manifest(name)


@pytest.mark.parametrize("config", SMALL, ids=lambda config: config.name)
def test_every_part_gives_what_the_graphs_expect(config: UpsNet | VpsNet) -> None:
    """Five levels that halve one another, scores for every anchor, class and label, finite throughout."""
    net = filled(config)
    levels = net.features(torch.randn(2, 3, 64, 96))

    assert [tuple(level.shape) for level in levels] == [(2, 16, 16, 24), (2, 16, 8, 12), (2, 16, 4, 6), (2, 16, 2, 3), (2, 16, 1, 2)]
    assert [tuple(part.shape) for part in net.propose(levels)[1]] == [(2, 3 * 8 * 12), (2, 3 * 8 * 12, 4)]
    logits, offsets = net.boxes(torch.randn(3, 16, 7, 7))
    masks = net.masks(torch.randn(3, 16, 14, 14))
    semantic = net.semantic(levels)
    assert [tuple(x.shape) for x in (logits, offsets, masks, semantic)] == [(3, 4), (3, 4, 4), (3, 4, 28, 28), (2, 5, 16, 24)]
    assert all(torch.isfinite(x).all() for x in (*levels, logits, offsets, masks, semantic))


def test_anchors_lie_next_to_each_other_in_the_scores_of_the_rpn() -> None:
    """Row, column, anchor, and four offsets of each: channel a * 4 + k is offset k of anchor a."""
    net = filled(SMALL_UPS)
    level = torch.randn(1, 16, 3, 5)
    x = net.rpn.conv_proposal(level)
    channels, rows = net.rpn.bbox_pred(x)[0], net.rpn.cls_score(x)[0]

    logits, offsets = net.propose([level])[0]

    for (y, x, a), found in zip(np.ndindex(3, 5, 3), offsets[0], strict=True):
        assert torch.equal(found, channels[4 * a : 4 * a + 4, y, x])
    assert torch.equal(logits[0].reshape(3, 5, 3), rows.permute(1, 2, 0))


def test_frames_are_fused_at_the_size_of_the_pyramid() -> None:
    """The parts of a video net fit each other, and the flow is a quarter of the picture's size."""
    net = filled(SMALL_VPS)
    levels = net.features(torch.randn(1, 3, 64, 96))
    own = net.balanced(levels)
    flow = net.flow(torch.rand(1, 3, 64, 96) * 255, torch.rand(1, 3, 64, 96) * 255)

    fused = net.fused(levels, own, own, flow)

    assert own.shape == levels[0].shape
    assert flow.shape == (1, 2, 16, 24)
    assert [level.shape for level in fused] == [level.shape for level in levels]
    assert net.embed(torch.randn(3, 16, 7, 7)).shape == (3, 12)


def test_parts_that_a_net_lacks_are_refused() -> None:
    """A net without fuse module has no flow, one without track head no vectors."""
    net = filled(SMALL_TRACK)

    with pytest.raises(TypeError, match="fuse"):
        net.balanced([])
    with pytest.raises(TypeError, match="flow"):
        net.flow(torch.zeros(1), torch.zeros(1))
    net.track_head = None
    with pytest.raises(TypeError, match="track"):
        net.embed(torch.zeros(1))


@torch.no_grad()
def test_an_embedding_is_two_linear_layers_without_normalisation() -> None:
    """ReLU between them and nothing after."""
    net = filled(SMALL_TRACK)
    rois = torch.randn(2, 16, 7, 7)
    first, second = net.track_head.fcs

    hidden = np.maximum(rois.flatten(1).numpy() @ first.weight.numpy().T + first.bias.numpy(), 0)

    np.testing.assert_allclose(net.embed(rois).numpy(), hidden @ second.weight.numpy().T + second.bias.numpy(), atol=1e-5)


def _norm(x: Tensor, layer: nn.BatchNorm2d) -> Tensor:
    scale = layer.weight / torch.sqrt(layer.running_var + 1e-5)
    return x * scale[:, None, None] + (layer.bias - layer.running_mean * scale)[:, None, None]


def _bottleneck(x: Tensor, block: nn.Module, first: int, middle: int) -> Tensor:
    """By the book, with the stride in the first 1x1 or in the 3x3 convolution."""
    stride = first * middle
    shortcut = _norm(F.conv2d(x, block.downsample[0].weight, stride=stride), block.downsample[1])
    x = _norm(F.conv2d(x, block.conv1.weight, stride=first), block.bn1).relu()
    x = _norm(F.conv2d(x, block.conv2.weight, stride=middle, padding=1), block.bn2).relu()
    return (_norm(F.conv2d(x, block.conv3.weight), block.bn3) + shortcut).relu()


def test_the_two_styles_of_resnet_halve_in_different_places() -> None:
    """UPSNet's, as Caffe's, in the first 1x1 convolution of a stage, VPSNet's in its 3x3."""
    caffe = filled(SMALL_UPS).resnet_backbone
    plain = filled(SMALL_TRACK).backbone
    x = torch.randn(1, 32, 8, 12)
    block, other = caffe.res3.layers[0], plain.layer2[0]
    block.conv2_offset.weight.zero_(), block.conv2_offset.bias.zero_()

    torch.testing.assert_close(block(x), _bottleneck(x, block, 2, 1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(other(x), _bottleneck(x, other, 1, 2), atol=1e-5, rtol=1e-4)


def test_deformable_blocks_are_all_of_the_last_three_stages() -> None:
    """Every bottleneck of res3, res4 and res5 has a layer of offsets, none of res2."""
    with torch.device("meta"):
        names = UpsBody((3, 4, 23, 3), 64, deformable=True).state_dict()

    offsets = [name.split(".")[0] for name in names if name.endswith("conv2_offset.weight")]
    assert [offsets.count(stage) for stage in ("res2", "res3", "res4", "res5")] == [0, 4, 23, 3]


def _twice(x: F32Array) -> F32Array:
    return x.repeat(2, axis=1).repeat(2, axis=2)


@torch.no_grad()
def test_the_global_mean_goes_into_the_deepest_lateral_before_the_others() -> None:
    """So it reaches every level."""
    fpn = filled(SMALL_UPS).fpn
    maps = [torch.randn(1, channels, 32 >> level, 64 >> level) for level, channels in enumerate((32, 64, 128, 256), start=2)]
    laterals = [fpn.get_submodule(f"fpn_p{level}_1x1")(x)[0].numpy() for level, x in enumerate(maps, start=2)]
    mean = maps[3][0].numpy().mean(axis=(1, 2))
    total = laterals[3] + (fpn.fpn_gap.weight.numpy() @ mean + fpn.fpn_gap.bias.numpy())[:, None, None]
    levels = fpn(maps)

    for level in (5, 4, 3, 2):
        wanted = fpn.get_submodule(f"fpn_p{level}")(torch.from_numpy(total)[None])
        torch.testing.assert_close(levels[level - 2], wanted, atol=1e-4, rtol=1e-4)
        total = _twice(total) + laterals[level - 3] if level > 2 else total
    assert torch.equal(levels[4], levels[3][:, :, ::2, ::2])


@torch.no_grad()
def _by_the_book(head: UpsSemantic | VpsSemantic, levels: list[Tensor]) -> Tensor:
    """Levels through the shared layers, resized, concatenated, scored."""
    if isinstance(head, UpsSemantic):
        maps, score = [head.fcn_subnet.conv(level) for level in levels], head.score
    else:
        maps, score = [_normalised_stack(head, level) for level in levels], head.conv_pred.conv
    resized = [F.interpolate(x, scale_factor=2**level, mode="bilinear", align_corners=False) for level, x in enumerate(maps)]
    return score(torch.cat(resized, dim=1))


def _normalised_stack(head: VpsSemantic, x: Tensor) -> Tensor:
    """Deformable convolution, group normalisation and ReLU at 0, 1, 2, then at 3, 4, 5."""
    layers = head.deform_convs[0]
    for first in range(0, len(layers), 3):
        x = layers[first](x)
        groups = x.reshape(len(x), 4, -1)
        spread = torch.sqrt(groups.var(dim=2, unbiased=False, keepdim=True) + 1e-5)
        x = ((groups - groups.mean(dim=2, keepdim=True)) / spread).reshape(x.shape)
        x = (x * layers[first + 1].weight[:, None, None] + layers[first + 1].bias[:, None, None]).relu()
    return x


@pytest.mark.parametrize("config", [SMALL_UPS, SMALL_TRACK], ids=lambda config: config.name)
def test_semantic_scores_are_those_of_the_concatenated_levels(config: UpsNet | VpsNet) -> None:
    """Scoring before resizing changes nothing but the rounding."""
    net = filled(config)
    head = net.fcn_head if isinstance(net, UpsNet) else net.panopticFPN
    levels = [torch.randn(1, 16, 16 >> level, 24 >> level) for level in range(4)]

    torch.testing.assert_close(head(levels), _by_the_book(head, levels), atol=2e-5, rtol=1e-4)


def test_biases_are_in_upsnets_semantic_head_alone() -> None:
    """VPSNet's is normalised instead."""
    assert filled(SMALL_UPS).fcn_head.fcn_subnet.conv[0][0].conv.bias is not None
    assert filled(SMALL_TRACK).panopticFPN.deform_convs[0][0].conv.bias is None


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_pictures_are_normalised_as_the_originals_do(dtype: torch.dtype) -> None:
    """UPSNet: BGR minus a mean, not divided; VPSNet: RGB, divided. What the flow net sees is the picture again, the padding its mean."""
    picture = torch.randint(0, 256, (1, 4, 5, 3), dtype=torch.uint8).to(dtype)
    bgr = picture.double().permute(0, 3, 1, 2)
    ups, vps = Normalise(SMALL_UPS), Normalise(SMALL_TRACK)
    mean = torch.tensor([102.9801, 115.9465, 122.7717], dtype=torch.float64)[:, None, None]
    mean_rgb = torch.tensor([123.675, 116.28, 103.53], dtype=torch.float64)[:, None, None]
    std_rgb = torch.tensor([58.395, 57.12, 57.375], dtype=torch.float64)[:, None, None]

    torch.testing.assert_close(ups(picture).double(), bgr - mean, atol=1e-4, rtol=0)
    torch.testing.assert_close(vps(picture).double(), (bgr.flip(1) - mean_rgb) / std_rgb, atol=1e-5, rtol=0)
    seen = vps.rgb_of(F.pad(vps(picture), (0, 1)))
    torch.testing.assert_close(seen[..., :5].double(), bgr.flip(1), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen[..., 5].double(), mean_rgb.squeeze(-1).expand(1, 3, 4), atol=1e-4, rtol=0)
