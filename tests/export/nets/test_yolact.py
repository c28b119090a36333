"""The torch nets against the originals' keys and tensors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from export.nets.config import BackboneSpec, YolactConfig
from export.nets.priors import priors
from export.nets.yolact import Normalise, Yolact
from export.recipes import RECIPES
from tests.export.nets.facts import OFFICIAL, error_in_std, filled_net, golden, manifest, own_names, resized_picture

DEMO = RECIPES["yolact_demo"]
GOLDENS = (
    ("yolact_resnet50", "coffee"),
    ("yolact_plus_resnet50", "astronaut"),
    ("yolact_darknet53", "astronaut"),
    ("yolact_edge_mobilenetv2", "astronaut"),
)
# A fifty times smaller error is usual; the original rerun in float64 differs by up to a tenth of this.
MAX_ERROR_IN_STD = 1e-3


@pytest.mark.parametrize("name", OFFICIAL)
def test_parameters_are_the_official_ones(name: str) -> None:
    """Every recipe has exactly the parameter names and shapes of the official checkpoints, less what the recipe says is unused."""
    with torch.device("meta"):
        state = RECIPES[name].build_net().state_dict()

    assert own_names(RECIPES[name], manifest(name)) == {key: tuple(value.shape) for key, value in state.items()}


@torch.inference_mode()
def _all_tensors(config: YolactConfig, picture: str) -> dict[str, Tensor]:
    """Every intermediate result under the name it has in the golden files."""
    net = filled_net(config)
    image = Normalise(config.normalisation)(resized_picture(picture, config.size))
    maps = net.backbone(image)
    sums = net.fpn.sums(maps)
    levels = net.fpn.levels(sums)
    raw = net.predict(levels)
    return {
        "input": image,
        "loc": raw.loc,
        "conf_logits": raw.conf_logits,
        "conf": raw.conf_logits.softmax(-1),
        "mask_coeff": raw.coefficients,
        "proto": raw.proto,
        "priors": torch.from_numpy(priors(config)),
        **{f"C{i}": value for i, value in enumerate(maps, start=3)},
        **{f"phase1_P{i}": value for i, value in enumerate(sums, start=3)},
        **{f"P{i}": value for i, value in enumerate(levels, start=3)},
    }


@pytest.mark.parametrize(("name", "picture"), GOLDENS)
def test_tensors_match_the_original(name: str, picture: str) -> None:
    """With the same weights and picture every tensor from the input to the raw predictions equals the original's."""
    expected = golden(name, picture)["tensors"]
    actual = _all_tensors(RECIPES[name], picture)

    errors = {key: error_in_std(expected[key], actual[key]) for key in expected}
    assert {key: error for key, error in errors.items() if not error < MAX_ERROR_IN_STD} == {}


@pytest.mark.parametrize("kind", ["resnet", "darknet"])
def test_bytes_and_floats_normalise_alike(kind: str) -> None:
    """A uint8 picture and the same picture as float give the same network input."""
    picture = torch.randint(0, 256, (1, 5, 7, 3), dtype=torch.uint8)
    normalise = Normalise(kind)

    assert torch.equal(normalise(picture.float()), normalise(picture))
    assert normalise(picture).shape == (1, 3, 5, 7)


def test_pictures_of_a_batch_do_not_influence_each_other() -> None:
    """In evaluation mode a picture has the same predictions alone and in a batch."""
    net = Yolact(DEMO.with_size(64)).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        together, alone = net(images), net(images[1:])

    for expected, actual in zip(alone, together, strict=True):
        torch.testing.assert_close(actual[1:], expected, rtol=1e-4, atol=1e-5)


def test_training_reaches_every_parameter() -> None:
    """In training mode the predictions and the semantic logits together depend on every parameter of the demo net."""
    net = Yolact(DEMO.with_size(64)).train()
    levels = net.features(torch.randn(2, 3, 64, 64))
    outputs = (*net.predict(levels), net.semantic_logits(levels))
    torch.stack([output.square().mean() for output in outputs]).sum().backward()

    assert outputs[-1].shape == (2, len(DEMO.labels), 8, 8)
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []


def test_unselected_last_layers_are_not_computed() -> None:
    """MobileNetV2's layers behind C5 exist for the checkpoint's sake but cost nothing: broken weights in them do no harm."""
    config = replace(DEMO, backbone=BackboneSpec("mobilenetv2", selected=(3, 4, 6))).with_size(64)
    net = Yolact(config).eval()
    with torch.inference_mode():
        for layer in net.backbone.layers[7:]:
            for parameter in layer.parameters():
                parameter.fill_(torch.nan)
        raw = net(torch.randn(1, 3, 64, 64))

    assert all(torch.isfinite(part).all() for part in raw)
