"""Frames and pairs that panoptic nets learn from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from edgeseg.sources.synthetic import LABELS, Scene, SceneConfig, SceneFlow
from export.training import panoptic_data
from export.training.data import SLIVER
from export.training.panoptic_data import Drawing, FrameBatches, PairBatches, Pairs, cell_flow
from export.training.panoptic_truth import OUTSIDE, SLOTS, STUFF_COUNT, truths_of

INPUT_HW = (60, 96)


@pytest.fixture(autouse=True)
def _small_scenes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    panoptic_data._scene.cache_clear()
    monkeypatch.setattr(panoptic_data, "SCENES_HW", ((64, 96), (72, 128)))
    yield
    panoptic_data._scene.cache_clear()


def _drawing(workers: int = 1, seed: int = 0) -> Drawing:
    return Drawing(INPUT_HW, 3, workers, seed)


def test_truth_has_the_scenes_objects_and_channels() -> None:
    """Stuff channels come first; boxes and ids lie in slots; the padding belongs to nobody."""
    truth = Scene(SceneConfig(seed=4, size_hw=(60, 96))).truth(7)
    found = truths_of([truth], INPUT_HW)
    count = len(truth)

    assert count > 2
    np.testing.assert_array_equal(found.boxes[0, :count], truth.boxes)
    assert found.classes[0].tolist() == [*(truth.classes + 1), *[0] * (SLOTS - count)]
    assert found.ids[0, :count].tolist() == truth.ids.tolist()
    assert found.ignore[0, :count].tolist() == (truth.visible_fraction < SLIVER).tolist()
    names = sorted(LABELS, key=lambda label: label.is_thing)
    for k in range(count):
        seen = truth.visible(k)
        assert (found.owners[0, :60][torch.from_numpy(seen)] == k + 1).all()
        assert {names[channel] for channel in found.channels[0, :60][torch.from_numpy(seen)].tolist()} == {LABELS[truth.classes[k]]}
    behind = torch.from_numpy(truth.instance_ids == 0)
    assert (found.channels[0, :60][behind] < STUFF_COUNT).all()
    assert [names[channel] for channel in found.channels[0, :60][behind].tolist()] == [LABELS[k] for k in truth.stuff[behind.numpy()]]
    assert (found.channels[0, 60:] == OUTSIDE).all()
    assert not found.owners[0, 60:].any()


def test_batches_are_a_function_of_their_number_and_the_seed() -> None:
    """Reproducible, and different from each other."""
    again, other = FrameBatches(9, _drawing()), FrameBatches(9, _drawing(seed=1))
    first = FrameBatches(9, _drawing())[0]

    assert (first.images.dtype, tuple(first.images.shape), len(again)) == (torch.uint8, (3, *INPUT_HW, 3), 9)
    assert torch.equal(again[0].images, first.images)
    assert not torch.equal(again[1].images, first.images)
    assert not torch.equal(other[0].images, first.images)


def test_a_worker_keeps_its_scenes_for_a_round() -> None:
    """While workers, which take batches in turn, never share any."""
    batches = FrameBatches(99, _drawing(workers=2))
    names = [[scene.name for scene in batches.scenes(i)] for i in range(18)]

    assert all(names[i] == names[i % 2] for i in range(16))
    assert len({name for i in (0, 1, 16, 17) for name in names[i]}) == 12


def test_pairs_have_the_flow_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a reference that is the frame itself it is zero; objects keep their ids."""
    monkeypatch.setattr(panoptic_data, "STILL", 1.0)
    still = PairBatches(2, _drawing())[0]
    monkeypatch.setattr(panoptic_data, "STILL", 0.0)
    pair = PairBatches(2, _drawing())[0]

    assert isinstance(pair, Pairs)
    assert torch.equal(still.now.images, still.reference.images)
    assert still.flow.abs().max() < 1e-6
    assert (still.weight[:, :15].min() > 0.999, still.weight[:, 15:].max()) == (True, 0)
    assert not torch.equal(pair.now.images, pair.reference.images)
    assert pair.flow.abs().max() > 0.1
    assert tuple(pair.flow.shape) == (3, 2, 16, 24)
    assert any(set(a[a > 0].tolist()) & set(b[b > 0].tolist()) for a, b in zip(pair.now.truths.ids, pair.reference.truths.ids, strict=True))


def test_flow_is_told_in_cells_of_the_stretched_picture() -> None:
    """Twice the width gives twice the distance, in cells of four pixels; what the other frame hides has no weight."""
    moved = np.zeros((30, 48, 2), np.float32)
    moved[..., 0], moved[..., 1] = 4, 2
    visible = np.ones((30, 48), bool)
    visible[:, 24:] = False

    flow, weight = cell_flow(SceneFlow(moved, np.ones((30, 48), bool), visible), INPUT_HW)

    assert (flow.shape, weight.shape) == ((2, 16, 24), (16, 24))
    np.testing.assert_allclose(flow[0, :15, :12], 2)
    np.testing.assert_allclose(flow[1, :15, :12], 1)
    assert not weight[:15, 12:].any()
    assert not weight[15:].any()
