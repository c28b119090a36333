"""Pictures laid into network inputs."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.bundle import InputSpec
from edgeseg.geometry import FITS, Fit


def _ramp(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _bilinear(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Half-pixel centres, no antialiasing, the border repeated: float64."""
    samples = []
    for axis, side in enumerate((height, width)):
        position = np.clip((np.arange(side) + 0.5) * pixels.shape[axis] / side - 0.5, 0, pixels.shape[axis] - 1)
        low = position.astype(int)
        samples.append((low, np.minimum(low + 1, pixels.shape[axis] - 1), position - low))
    (y0, y1, fy), (x0, x1, fx) = samples
    wide = pixels.astype(np.float64)
    wide = wide[y0] * (1 - fy)[:, None, None] + wide[y1] * fy[:, None, None]
    return wide[:, x0] * (1 - fx)[None, :, None] + wide[:, x1] * fx[None, :, None]


@pytest.mark.parametrize("image_hw", [(64, 64), (37, 91), (200, 150), (1, 1), (1, 300), (3, 2)])
def test_stretch_fills_the_input_bilinearly(image_hw: tuple[int, int]) -> None:
    """Within float rounding with a float32 input; a uint8 input rounds, by one grey level at most."""
    pixels = _ramp(*image_hw)
    fit = Fit.stretch(image_hw, (48, 64))
    wanted = _bilinear(pixels, 48, 64)

    exact, rounded = fit.apply(pixels, "float32"), fit.apply(pixels, "uint8")

    assert (exact.shape, exact.dtype, rounded.shape, rounded.dtype) == ((1, 48, 64, 3), np.float32, (1, 48, 64, 3), np.uint8)
    assert exact.flags.c_contiguous
    assert rounded.flags.c_contiguous
    assert np.abs(exact[0] - wanted).max() < 0.01
    assert np.abs(rounded[0] - wanted).max() <= 1.0


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_picture_of_the_inputs_own_size_is_not_changed(dtype: str) -> None:
    """No grey level moves."""
    pixels = _ramp(48, 64)

    assert np.array_equal(Fit.stretch((48, 64), (48, 64)).apply(pixels, dtype)[0], pixels)


def test_a_picture_cut_out_of_another_is_read_right() -> None:
    """Views with strides give the same input as their copies."""
    view = _ramp(80, 120)[10:50:2, ::-1]
    fit = Fit.stretch(view.shape[:2], (32, 32))

    assert np.array_equal(fit.apply(view, "uint8"), fit.apply(view.copy(), "uint8"))


@pytest.mark.parametrize("name", FITS)
def test_a_bundles_input_names_its_fit(name: str) -> None:
    """`InputSpec.place` is the table's entry for the input's size."""
    assert InputSpec((32, 64), fit=name).place((10, 20)) == FITS[name]((10, 20), (32, 64))
