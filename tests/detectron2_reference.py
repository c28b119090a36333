"""detectron2's Mask R-CNN in plain NumPy loops, from the published description of what it does; the oracle for our form of it.

It reads weights under detectron2's own names, in detectron2's class order (the background last), and knows nothing of edgeseg or torch.
Everything is computed in float64. Boxes are x1, y1, x2, y2; maps are (channels, rows, columns).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

Array = np.ndarray[Any, Any]

MEAN_BGR = (103.530, 116.280, 123.675)
GROWTH_MAX = math.log(1000 / 16)
STRIDES = (4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Settings:
    """What the configuration file of a model says."""

    anchor_sides: Sequence[float] = (32, 64, 128, 256, 512)
    ratios: Sequence[float] = (0.5, 1.0, 2.0)
    per_level: int = 1000
    proposals: int = 1000
    detections: int = 100
    canonical_side: float = 224


def resized_hw(image_hw: tuple[int, int], shortest: int, longest: int) -> tuple[int, int]:
    """ResizeShortestEdge: the shorter side first, then both again if the longer one became too long; halves are rounded up."""
    scale = shortest / min(image_hw)
    height, width = (shortest, scale * image_hw[1]) if image_hw[0] < image_hw[1] else (scale * image_hw[0], shortest)
    if max(height, width) > longest:
        scale = longest / max(height, width)
        height, width = height * scale, width * scale
    return int(height + 0.5), int(width + 0.5)


def network_input(picture: Array, size_hw: tuple[int, int]) -> Array:
    """float64 (3, H, W) from a BGR picture uint8: PIL's antialiased bilinear resize, minus the mean, padded to multiples of 32."""
    height, width = size_hw
    resized = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR), np.float64)
    padded = np.zeros((3, -(-height // 32) * 32, -(-width // 32) * 32))
    padded[:, :height, :width] = (resized - MEAN_BGR).transpose(2, 0, 1)
    return padded


def conv(x: Array, weight: Array, bias: Array | None = None, stride: int = 1, padding: int = 0) -> Array:
    """2-D convolution, one tap of the kernel at a time."""
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    out_rows, out_columns = ((side - kernel) // stride + 1 for side, kernel in zip(padded.shape[1:], weight.shape[2:], strict=True))
    out = np.zeros((len(weight), out_rows, out_columns))
    for i in range(weight.shape[2]):
        for j in range(weight.shape[3]):
            tap = padded[:, i : i + stride * (out_rows - 1) + 1 : stride, j : j + stride * (out_columns - 1) + 1 : stride]
            out += np.einsum("oc,chw->ohw", weight[:, :, i, j].astype(np.float64), tap)
    return out if bias is None else out + bias[:, None, None]


def max_pool(x: Array) -> Array:
    """3x3, stride 2, padding 1."""
    rows, columns = ((side + 1) // 2 for side in x.shape[1:])
    padded = np.pad(x, ((0, 0), (1, 2), (1, 2)), constant_values=-np.inf)
    out = np.full((len(x), rows, columns), -np.inf)
    for i in range(3):
        for j in range(3):
            out = np.maximum(out, padded[:, i : i + 2 * rows : 2, j : j + 2 * columns : 2])
    return out


class Net:
    """The weights of a file and the layers that use them."""

    def __init__(self, state: Mapping[str, Array], settings: Settings) -> None:
        self.state = state
        self.settings = settings

    def conv(self, name: str, x: Array, stride: int = 1, padding: int = 0) -> Array:
        """A convolution and what follows it under its name: a bias, or a frozen batch normalisation."""
        y = conv(x, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"), stride, padding)
        if f"{name}.norm.weight" not in self.state:
            return y
        weight, bias, mean, variance = (
            self.state[f"{name}.norm.{part}"].astype(np.float64)[:, None, None]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (y - mean) / np.sqrt(variance + 1e-5) * weight + bias

    def linear(self, name: str, x: Array) -> Array:
        """A fully connected layer."""
        return self.state[f"{name}.weight"].astype(np.float64) @ x + self.state[f"{name}.bias"]

    def body(self, image: Array) -> list[Array]:
        """C2 to C5. The first 1x1 convolution of a stage has its stride, as in the original Caffe weights."""
        x = max_pool(relu(self.conv("backbone.bottom_up.stem.conv1", image, 2, 3)))
        maps = []
        for stage in range(2, 6):
            block = 0
            while f"backbone.bottom_up.res{stage}.{block}.conv1.weight" in self.state:
                name, stride = f"backbone.bottom_up.res{stage}.{block}", 2 if stage > 2 and block == 0 else 1
                y = relu(self.conv(f"{name}.conv1", x, stride))
                y = self.conv(f"{name}.conv3", relu(self.conv(f"{name}.conv2", y, 1, 1)))
                x = relu(y + (self.conv(f"{name}.shortcut", x, stride) if f"{name}.shortcut.weight" in self.state else x))
                block += 1
            maps.append(x)
        return maps

    def pyramid(self, maps: Sequence[Array]) -> list[Array]:
        """P2 to P6 from C2 to C5."""
        above: Array | None = None
        levels: list[Array] = []
        for level in range(5, 1, -1):
            lateral = self.conv(f"backbone.fpn_lateral{level}", maps[level - 2])
            above = lateral if above is None else lateral + above.repeat(2, 1).repeat(2, 2)
            levels.insert(0, self.conv(f"backbone.fpn_output{level}", above, 1, 1))
        return [*levels, levels[-1][:, ::2, ::2]]

    def rpn(self, level: Array) -> tuple[Array, Array]:
        """Logits (h * w * A,) and offsets (h * w * A, 4) of one level."""
        name = "proposal_generator.rpn_head."
        x = relu(self.conv(f"{name}conv", level, 1, 1))
        logits, offsets = self.conv(f"{name}objectness_logits", x), self.conv(f"{name}anchor_deltas", x)
        return logits.transpose(1, 2, 0).reshape(-1), offsets.transpose(1, 2, 0).reshape(-1, 4)

    def box_head(self, features: Array) -> tuple[Array, Array]:
        """Logits (K + 1,), the background last, and offsets (K, 4) from the features (C, 7, 7) of a RoI."""
        x = relu(self.linear("roi_heads.box_head.fc2", relu(self.linear("roi_heads.box_head.fc1", features.reshape(-1)))))
        offsets = self.linear("roi_heads.box_predictor.bbox_pred", x).reshape(-1, 4)
        return self.linear("roi_heads.box_predictor.cls_score", x), offsets

    def mask_head(self, features: Array, k: int) -> Array:
        """Probabilities (28, 28) of class k from the features (C, 14, 14) of a RoI."""
        x = features
        for i in range(1, 5):
            x = relu(self.conv(f"roi_heads.mask_head.mask_fcn{i}", x, 1, 1))
        weight = self.state["roi_heads.mask_head.deconv.weight"].astype(np.float64)
        up = np.zeros((weight.shape[1], 2 * x.shape[1], 2 * x.shape[2]))
        for i in range(2):
            for j in range(2):
                up[:, i::2, j::2] = np.einsum("co,chw->ohw", weight[:, :, i, j], x)
        up = relu(up + self.state["roi_heads.mask_head.deconv.bias"][:, None, None])
        return 1 / (1 + np.exp(-self.conv("roi_heads.mask_head.predictor", up)[k]))


def relu(x: Array) -> Array:
    """Negative values become 0."""
    return np.maximum(x, 0)


def anchors(side: float, ratios: Sequence[float], grid_hw: tuple[int, int], stride: int) -> Array:
    """(h * w * A, 4): row, column, ratio. Corners are not rounded, and the distance is the level's stride whatever the sizes."""
    boxes = []
    for row in range(grid_hw[0]):
        for column in range(grid_hw[1]):
            for ratio in ratios:
                width = math.sqrt(side**2 / ratio)
                height = ratio * width
                x, y = column * stride, row * stride
                boxes.append((x - width / 2, y - height / 2, x + width / 2, y + height / 2))
    return np.array(boxes)


def moved(box: Array, offset: Array, weights: tuple[float, float]) -> Array:
    """A box moved by dx, dy, dw, dh, which were multiplied by the weights."""
    width, height = box[2] - box[0], box[3] - box[1]
    x = box[0] + width / 2 + offset[0] / weights[0] * width
    y = box[1] + height / 2 + offset[1] / weights[0] * height
    width *= math.exp(min(offset[2] / weights[1], GROWTH_MAX))
    height *= math.exp(min(offset[3] / weights[1], GROWTH_MAX))
    return np.array((x - width / 2, y - height / 2, x + width / 2, y + height / 2))


def clipped(box: Array, size_hw: tuple[int, int]) -> Array:
    """A box cut to a picture."""
    return np.clip(box, 0, (*size_hw[::-1], *size_hw[::-1]))


def iou(a: Array, b: Array) -> float:
    """Intersection over union; 0 for boxes without area."""
    overlap = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
    return float(overlap / union) if union > 0 else 0.0


def suppressed(boxes: Sequence[Array], groups: Sequence[int], limit: float) -> list[int]:
    """Of boxes that come best first, those that no better kept box of their group overlaps by more than the limit."""
    kept: list[int] = []
    for i in range(len(boxes)):
        if all(groups[i] != groups[k] or iou(boxes[i], boxes[k]) <= limit for k in kept):
            kept.append(i)
    return kept


def proposals(logits: Sequence[Array], boxes: Sequence[Array], size_hw: tuple[int, int], settings: Settings) -> list[Array]:
    """The best boxes of all levels. Ranked by logit; a box only needs some area; decoded boxes (n, 4) come level by level."""
    found = []
    for level, (scores, decoded) in enumerate(zip(logits, boxes, strict=True)):
        for i in np.argsort(-scores, kind="stable")[: settings.per_level]:
            box = clipped(decoded[i], size_hw)
            if box[2] > box[0] and box[3] > box[1]:
                found.append((float(scores[i]), level, box))
    found.sort(key=lambda entry: -entry[0])
    kept = suppressed([box for _, _, box in found], [level for _, level, _ in found], 0.7)
    return [found[i][2] for i in kept[: settings.proposals]]


def level_of(box: Array, canonical_side: float = 224) -> int:
    """0 for P2 to 3 for P5."""
    side = math.sqrt((box[2] - box[0]) * (box[3] - box[1]))
    return min(max(math.floor(4 + math.log2(side / canonical_side + 1e-8)), 2), 5) - 2


def roi_align(level: Array, box: Array, stride: int, cells: int) -> Array:
    """(C, cells, cells). Feature cells have their centres at +0.5; an output cell has one sample for each of them a side, rounded up."""
    x1, y1, x2, y2 = (side / stride - 0.5 for side in box)
    cell_width, cell_height = (x2 - x1) / cells, (y2 - y1) / cells
    columns, rows = math.ceil(cell_width), math.ceil(cell_height)
    out = np.zeros((len(level), cells, cells))
    for i in range(cells):
        for j in range(cells):
            for row in range(rows):
                for column in range(columns):
                    y = y1 + (i + (row + 0.5) / rows) * cell_height
                    x = x1 + (j + (column + 0.5) / columns) * cell_width
                    out[:, i, j] += sampled(level, y, x)
    return out / max(rows * columns, 1)


def sampled(level: Array, y: float, x: float) -> Array:
    """(C,): bilinear; beyond the map's edge the edge goes on for one cell, then comes nothing."""
    rows, columns = level.shape[1:]
    if not (-1 <= y <= rows and -1 <= x <= columns):
        return np.zeros(len(level))
    y, x = min(max(y, 0), rows - 1), min(max(x, 0), columns - 1)
    i, j = min(int(y), max(rows - 2, 0)), min(int(x), max(columns - 2, 0))
    k, m = min(i + 1, rows - 1), min(j + 1, columns - 1)
    top = level[:, i, j] * (1 - (x - j)) + level[:, i, m] * (x - j)
    bottom = level[:, k, j] * (1 - (x - j)) + level[:, k, m] * (x - j)
    return np.asarray(top * (1 - (y - i)) + bottom * (y - i))


@dataclass(frozen=True)
class Found:
    """One detection; its box is in pixels of the resized picture."""

    score: float
    k: int
    box: Array


def detections(logits: Array, boxes: Array, size_hw: tuple[int, int], settings: Settings) -> list[Found]:
    """From logits (R, K + 1), the background last, and decoded boxes (R, K, 4). No box is too small."""
    exponent = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = exponent / exponent.sum(axis=1, keepdims=True)
    found = [
        Found(float(scores[i, k]), k, clipped(boxes[i, k], size_hw))
        for i in range(len(logits))
        for k in range(boxes.shape[1])
        if scores[i, k] > 0.05
    ]
    found.sort(key=lambda entry: -entry.score)
    kept = suppressed([entry.box for entry in found], [entry.k for entry in found], 0.5)
    return [found[i] for i in kept[: settings.detections]]


def in_image(box: Array, size_hw: tuple[int, int], image_hw: tuple[int, int]) -> Array | None:
    """A box of the resized picture in pixels of the image and cut to it; None when nothing is left."""
    scale = (image_hw[1] / size_hw[1], image_hw[0] / size_hw[0]) * 2
    scaled = clipped(box * scale, image_hw)
    return scaled if scaled[2] > scaled[0] and scaled[3] > scaled[1] else None


def pasted(values: Array, box: Array, image_hw: tuple[int, int]) -> Array:
    """(H, W): values (h, w) laid over a box and read bilinearly at pixel centres, zeros around them. 0.5 or more is inside the mask."""
    rows, columns = values.shape
    padded = np.pad(values, 1)
    out = np.zeros(image_hw)
    for i in range(image_hw[0]):
        for j in range(image_hw[1]):
            y = (i + 0.5 - box[1]) / (box[3] - box[1]) * rows + 0.5
            x = (j + 0.5 - box[0]) / (box[2] - box[0]) * columns + 0.5
            if 0 <= y <= rows + 1 and 0 <= x <= columns + 1:
                out[i, j] = sampled(padded[None], y, x)[0]
    return out


def segment(state: Mapping[str, Array], picture: Array, size_hw: tuple[int, int], settings: Settings) -> list[tuple[Found, Array]]:
    """Every detection in a BGR picture uint8 with its mask (28, 28); boxes are in pixels of the resized picture."""
    net = Net(state, settings)
    levels = net.pyramid(net.body(network_input(picture, size_hw)))
    logits, boxes = [], []
    for level, side, stride in zip(levels, settings.anchor_sides, STRIDES, strict=True):
        scores, offsets = net.rpn(level)
        start = anchors(side, settings.ratios, level.shape[1:], stride)
        logits.append(scores)
        boxes.append(np.array([moved(box, offset, (1, 1)) for box, offset in zip(start, offsets, strict=True)]))
    chosen = proposals(logits, boxes, size_hw, settings)

    def features(box: Array, cells: int) -> Array:
        level = level_of(box, settings.canonical_side)
        return roi_align(levels[level], box, STRIDES[level], cells)

    heads = [net.box_head(features(box, 7)) for box in chosen]
    decoded = np.array([[moved(box, offset, (10, 5)) for offset in offsets] for box, (_, offsets) in zip(chosen, heads, strict=True)])
    found = detections(np.array([scores for scores, _ in heads]), decoded, size_hw, settings)
    return [(entry, net.mask_head(features(entry.box, 14), entry.k)) for entry in found]
