"""Pictures laid into network inputs."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from edgeseg.antialias import antialiased
from edgeseg.bundle import InputSpec
from edgeseg.errors import SourceError
from edgeseg.geometry import FITS, RESAMPLES, Fit, has_shape_of


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


# Frame, scale as (shorter side, longer side at most) -> the network's picture, by the originals' rule.
RESIZED = {
    ((720, 1280), (800, 1333)): (749, 1333),
    ((1080, 1920), (800, 1333)): (749, 1333),
    ((480, 640), (800, 1333)): (800, 1066),
    ((1080, 810), (800, 1333)): (1066, 800),
    ((1280, 720), (800, 1333)): (1333, 749),
    ((512, 512), (480, 1333)): (480, 480),
    ((400, 600), (480, 800)): (480, 720),
    ((100, 1000), (800, 1333)): (133, 1333),
    ((33, 57), (800, 1333)): (771, 1333),
}


def _original_sizes(frame: tuple[int, int], scale: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rounded down as in torchvision, to the nearest as in detectron2."""
    factor = min(scale[0] / min(frame), scale[1] / max(frame))
    floor, nearest = ([int(side * factor + extra) for side in frame] for extra in (0, 0.5))
    return (floor[0], floor[1]), (nearest[0], nearest[1])


@pytest.mark.parametrize(("frame", "scale"), RESIZED)
def test_a_frame_of_the_bundles_shape_fills_the_input(frame: tuple[int, int], scale: tuple[int, int]) -> None:
    """As both originals would size it; a letterbox bundle treats it in the same way."""
    assert _original_sizes(frame, scale)[0] == RESIZED[frame, scale]
    for network in _original_sizes(frame, scale):
        assert Fit.same_shape(frame, network).covered_hw == network
        assert Fit.letterbox(frame, network) == Fit.same_shape(frame, network)


@pytest.mark.parametrize("network", [(749, 1333), (800, 1066), (480, 480), (1333, 749), (60, 101)])
def test_shapes_are_told_apart_as_the_originals_round(network: tuple[int, int]) -> None:
    """A frame is taken exactly when a factor exists that rounds both its sides, down or to the nearest, to the input's."""
    rows, columns = network
    taken = []
    for height in range(1, 160):
        for width in range(1, 160):
            low = max(Fraction(2 * rows - 1, 2 * height), Fraction(2 * columns - 1, 2 * width))
            high = min(Fraction(rows + 1, height), Fraction(columns + 1, width))
            assert has_shape_of((height, width), network) == (low < high)
            taken += [(height, width)] if low < high else []
    for height, width in taken:
        factor = (max((2 * rows - 1) / (2 * height), (2 * columns - 1) / (2 * width)) + min((rows + 1) / height, (columns + 1) / width)) / 2
        assert int(height * factor) == rows or int(height * factor + 0.5) == rows
        assert int(width * factor) == columns or int(width * factor + 0.5) == columns


@pytest.mark.parametrize("frame", [(720, 1284), (725, 1280), (1280, 720), (1, 1), (1, 5000), (720, 1270)])
def test_a_frame_of_another_shape_is_refused_with_both_remedies(frame: tuple[int, int]) -> None:
    """The message names the frame's shape, what the bundle takes, and how to export for such frames."""
    height, width = frame

    with pytest.raises(SourceError, match=rf"{height}x{width} pixels.*749x1333.*--frame {height}x{width},.*--fit letterbox"):
        Fit.same_shape(frame, (749, 1333))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(
    ("frame", "covered"),
    [((30, 30), (48, 48)), ((20, 80), (16, 64)), ((10, 64), (10, 64)), ((48, 10), (48, 10)), ((1, 500), (1, 64)), ((500, 1), (48, 1))],
)
def test_a_letterbox_keeps_the_aspect_and_fills_the_rest(frame: tuple[int, int], covered: tuple[int, int], dtype: str) -> None:
    """The picture lies at the top left, scaled by one factor; the mean colour is everywhere else."""
    pixels = _ramp(*frame)
    fit = Fit.letterbox(frame, (48, 64))
    network = fit.apply(pixels, dtype)

    assert (fit.covered_hw, network.shape, network.dtype) == (covered, (1, 48, 64, 3), dtype)
    assert np.array_equal(network[0, : covered[0], : covered[1]], Fit.stretch(frame, covered).apply(pixels, dtype)[0])
    mean = np.array([104, 116, 124] if dtype == "uint8" else [103.53, 116.28, 123.675], dtype)
    assert (network[0, covered[0] :] == mean).all()
    assert (network[0, :, covered[1] :] == mean).all()


@pytest.mark.parametrize("frame", [(90, 160), (160, 90), (57, 57), (300, 40), (45, 77)])
@pytest.mark.parametrize("resample", RESAMPLES)
def test_a_place_in_the_picture_comes_back_from_the_network(frame: tuple[int, int], resample: str) -> None:
    """A bright rectangle is found in the input, and its box there maps onto it in the picture, to one pixel of either."""
    height, width = frame
    x1, y1, x2, y2 = width // 5, height // 4, width * 3 // 4, height * 4 // 5
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[y1:y2, x1:x2] = 255
    fit = Fit.letterbox(frame, (96, 128), resample)

    row, column = np.nonzero(fit.apply(pixels, "uint8")[0, : fit.covered_hw[0], : fit.covered_hw[1], 0] > 127)
    box = np.array([[column.min(), row.min(), column.max() + 1, row.max() + 1]], np.float32)

    scale = max(height / fit.covered_hw[0], width / fit.covered_hw[1], 1)
    assert np.abs(fit.boxes_to_image(box)[0] - (x1, y1, x2, y2)).max() <= scale


def test_boxes_are_cut_to_the_picture() -> None:
    """To what the picture covers of the input, not to the input."""
    fit = Fit((90, 160), (60, 96), (45, 80))

    assert fit.clip_boxes(np.array([[-1, 2, 90, 50], [3, 4, 5, 6]], np.float32)).tolist() == [[0, 2, 80, 45], [3, 4, 5, 6]]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_antialiasing_resizes_in_integers(dtype: str) -> None:
    """Whatever the dtype of the input; a stretched, a same-shape and a letterboxed picture alike."""
    pixels = _ramp(90, 160)

    for make in FITS.values():
        fit = make((90, 160), (45, 80), "antialias")
        assert np.array_equal(fit.apply(pixels, dtype), antialiased(pixels, (45, 80))[None].astype(dtype))


def test_an_inputs_resampling_reaches_the_fit() -> None:
    """`InputSpec.place` hands it on."""
    assert InputSpec((45, 80), fit="letterbox", resample="antialias").place((90, 160)).resample == "antialias"
