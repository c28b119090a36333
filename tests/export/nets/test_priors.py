"""The anchors, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.types import Label
from export.nets.config import BackboneSpec, YolactConfig
from export.nets.priors import priors
from export.recipes.yolact import CONFIGS

TRUNK = BackboneSpec("resnet", selected=(1, 2, 3), blocks=(1, 1, 1, 1))
LABELS = (Label("thing", 1),)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_there_is_one_per_cell_and_shape(config: YolactConfig) -> None:
    """The config's count is the array's length, and centres lie inside the picture."""
    anchors = priors(config)

    assert anchors.shape == (config.num_priors, 4)
    assert anchors.dtype == np.float32
    assert 0 < anchors[:, :2].min() < anchors[:, :2].max() < 1


def test_order_is_level_row_column_scale_ratio() -> None:
    """Neighbours in the array differ first in ratio, then in scale, then in column."""
    scales = tuple((32.0 * 2**i, 64.0 * 2**i) for i in range(5))
    anchors = priors(YolactConfig("two_scales", LABELS, TRUNK, 256, scales, aspect_ratios=(1.0, 4.0), square_anchors=False))

    assert [[1 / 64, 1 / 64, 1 / 8, 1 / 8], [1 / 64, 1 / 64, 1 / 4, 1 / 16]] == anchors[:2].tolist()
    assert [[1 / 64, 1 / 64, 1 / 4, 1 / 4], [1 / 64, 1 / 64, 1 / 2, 1 / 8]] == anchors[2:4].tolist()
    assert [3 / 64, 1 / 64, 1 / 8, 1 / 8] == anchors[4].tolist()
    assert [1 / 64, 3 / 64] == anchors[4 * 32, :2].tolist()
    assert [1 / 32, 1 / 32, 1 / 4, 1 / 4] == anchors[4 * 32 * 32].tolist()


def test_square_anchors_ignore_the_ratio_in_their_height() -> None:
    """The official nets' three anchors are squares of side s, s / sqrt 2 and s * sqrt 2."""
    first_cell = priors(YolactConfig("square", LABELS, TRUNK, 256, ((24.0,),) * 5))[:3]

    np.testing.assert_allclose(first_cell[:, 2] * 256, [24, 24 / 2**0.5, 24 * 2**0.5], rtol=1e-6)
    np.testing.assert_array_equal(first_cell[:, 2], first_cell[:, 3])
