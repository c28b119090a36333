"""Deterministic weights for a state dict, so that nets of any size have known outputs without stored weight files.

The values follow the filler behind the golden files in tests/data/yolact: a Philox-4x64-10 stream per parameter, keyed by
(crc32 of its official name, seed), turned into numbers by integer additions and IEEE double products only, hence the same on
every machine and numpy version. Gains per layer keep the activations of a deep random net near one.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from edgeseg.types import AnyArray, F64Array

# Mean and deviation of the sum of four uniform 16-bit integers.
_SUM_MEAN = 2.0 * 65535.0
_SUM_STD = math.sqrt(4.0 * (65536.0**2 - 1.0) / 12.0)

# Deviation of a convolution weight = gain / sqrt(fan-in); the first matching rule wins, else sqrt(2).
_CONV_GAINS = (
    (r"conf_layer\.weight$", 2.5),
    (r"bbox_layer\.weight$", 0.8),
    (r"mask_layer\.weight$", 0.5),
    (r"conv_offset_mask\.weight$", 0.7),
    (r"maskiou_net\.10\.weight$", 0.5),
    (r"flow_net\.pred\d\.conv\.weight$", 2.0),
    (r"flow_net\.pred\d\.(scale|bias)\.weight$", 0.15),
    (r"flow_net\.up(feat|flow)\d\.weight$", 1.0),
    (r"spa\.refine_convs\.", 0.7),
    (r"(fpn|fpn_phase_1)\.lat_layers\.0\.weight$", 1.2),
    (r"(fpn|fpn_phase_1)\.lat_layers\.[12]\.weight$", 0.5),
    (r"downsample_layers\.[01]\.weight$", 1.2),
    (r"backbone\..*\.downsample\.0\.weight$", 1.0),
)
# Multiplier of the scale of a residual branch's last batch normalisation.
_NORM_GAINS = (
    (r"backbone\.layers\.2\.([6-9]|1\d|2\d)\.bn3\.weight$", 0.08),
    (r"backbone\.layers\.\d+\.\d+\.bn3\.weight$", 0.25),
    (r"backbone\.layers\.\d+\.\d+\.conv2\.1\.weight$", 0.04),
    (r"backbone\.layers\.\d+\.0\.conv\.[23]\.weight$", 0.7),
    (r"backbone\.layers\.\d+\.\d+\.conv\.[23]\.weight$", 0.3),
)
# Added to the background logit, by class count, so that few anchors fire.
_BACKGROUND_BIAS = {81: 11.0, 41: 9.5, 21: 9.0}
_OTHER_BACKGROUND_BIAS = 6.0


def fill_state_dict(shapes: Mapping[str, Sequence[int]], seed: int = 0) -> dict[str, Tensor]:
    """A filled tensor for every official parameter name: float32, batch counters int64."""
    labels = shapes["semantic_seg_conv.weight"][0]
    return {name: torch.from_numpy(_fill(name, tuple(shape), labels + 1, seed)) for name, shape in shapes.items()}


def _fill(name: str, shape: tuple[int, ...], classes: int, seed: int) -> AnyArray:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    size = math.prod(shape)
    if name.endswith("running_mean"):
        values = 0.1 * normal(name, size, seed)
    elif name.endswith("running_var"):
        values = uniform(name, size, 0.5, 1.5, seed)
    elif name.endswith(".bias"):
        values = _bias(name, size, classes, seed)
    elif len(shape) == 1:
        values = uniform(name, size, 0.8, 1.2, seed) * first(_NORM_GAINS, name, 1.0)
    else:
        gain = first(_CONV_GAINS, name, math.sqrt(2.0))
        values = normal(name, size, seed) * (gain / math.sqrt(float(math.prod(shape[1:]))))
        if name.endswith("conf_layer.weight"):
            # Features are never negative: without this each filter would act as one constant per class.
            kernels = values.reshape(shape)
            values = kernels - kernels.mean(axis=(2, 3), keepdims=True) * 0.9
    return values.reshape(shape).astype(np.float32)


def _bias(name: str, size: int, classes: int, seed: int) -> F64Array:
    values = 0.05 * normal(name, size, seed)
    if re.search(r"flow_net\.pred\d\.scale\.bias$", name):
        values += 1.0
    elif name.endswith("conv_offset_mask.bias"):
        values[2 * size // 3 :] += 2.0
    elif name.endswith("maskiou_net.10.bias"):
        values += 0.7
    elif name.endswith("conf_layer.bias"):
        values.reshape(-1, classes)[:, 0] += _BACKGROUND_BIAS.get(classes, _OTHER_BACKGROUND_BIAS)
    return values


def _words(name: str, size: int, seed: int) -> AnyArray:
    key = np.array([zlib.crc32(name.encode()), seed], dtype=np.uint64)
    return np.asarray(np.random.Philox(key=key).random_raw(size))


def uniform(name: str, size: int, low: float, high: float, seed: int = 0) -> F64Array:
    """float64 (size,) between two limits."""
    return low + (high - low) * ((_words(name, size, seed) >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def normal(name: str, size: int, seed: int = 0) -> F64Array:
    """float64 (size,) with mean 0 and deviation 1, nearly normal."""
    fields = _words(name, size, seed).astype("<u8").view("<u2").reshape(-1, 4)
    return (fields.astype(np.float64).sum(axis=1) - _SUM_MEAN) / _SUM_STD


def first(rules: Iterable[tuple[str, float]], name: str, default: float) -> float:
    """The value of the first pattern that is found in a name."""
    return next((value for pattern, value in rules if re.search(pattern, name)), default)
