"""Official weight files -> nets: read without running code, and complete or not at all."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgeseg.errors import CheckpointError, UsageError

from .recipes import RECIPES
from .recipes.base import Recipe, Shapes
from .weight_files import listing, read_state

_REMEMBERED = 128
_BATCH_COUNTER = "num_batches_tracked"


def load_checkpoint(path: str | Path, recipe: Recipe, flow: Path | None = None) -> nn.Module:
    """The net of ``recipe`` with the weights of the state-dict file at ``path``, float32, on the CPU, in evaluation mode.

    ``flow`` names a file with the weights of its flow net; these take the place of what the first file may have of it.

    Raises:
        UsageError: ``flow`` is given and the net has none that could come from a file of its own.
        CheckpointError: the file cannot be read safely, or does not hold exactly this net; every kind of difference is named.
    """
    path = Path(path)
    state = read_state(path)
    if flow is not None:
        state = _with_flow(state, flow, recipe)
    wanted = _wanted(recipe)
    # Shapes first, on tensors without data: what a file claims costs nothing until it fits.
    _require_fit(_claims(state), wanted, recipe, path)
    held = recipe.arranged({name: _number(name, value, path) for name, value in _canonical(state, recipe, path).items()})
    with torch.device("meta"):
        net = recipe.build_net()
    # Only batch counters may be absent.
    net.load_state_dict({name: held.get(name, torch.zeros((), dtype=torch.int64)) for name in wanted}, assign=True)
    return net.eval().requires_grad_(False)


def _with_flow(state: Mapping[str, Tensor], flow: Path, recipe: Recipe) -> dict[str, Tensor]:
    prefix = recipe.flow_prefix
    if not prefix:
        raise UsageError(f"{recipe.name} has no flow net whose weights come in a file of their own; leave out --flow-weights")
    others = {name: value for name, value in state.items() if not name.startswith(prefix)}
    return others | {prefix + name.removeprefix(prefix): value for name, value in read_state(flow).items()}


def _claims(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of the same shapes without data."""
    return {name: torch.empty(value.shape, device="meta") for name, value in state.items()}


def _canonical(state: Mapping[str, Tensor], recipe: Recipe, path: Path) -> dict[str, Tensor]:
    """The file's entries under the net's own names."""
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        canonical = recipe.canonical_key(name)
        if canonical is None:
            continue
        if canonical in renamed:
            raise CheckpointError(f"{path}: holds {canonical} twice, under the names of two code bases; it mixes two nets")
        renamed[canonical] = value
    return renamed


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}


class _Differences(NamedTuple):
    """How a file departs from a net."""

    missing: list[str]
    unexpected: list[str]
    misshaped: list[str]

    @classmethod
    def between(cls, found: Shapes, wanted: Shapes) -> _Differences:
        """Files saved by old versions of PyTorch may lack the batch counters."""
        return cls(
            [name for name in wanted if name not in found and not name.endswith(_BATCH_COUNTER)],
            [name for name in found if name not in wanted],
            [name for name, shape in found.items() if wanted.get(name, shape) != shape],
        )


def _require_fit(state: Mapping[str, Tensor], wanted: Shapes, recipe: Recipe, path: Path) -> None:
    """Refuse a file unless its entries, given without their data, are exactly those of the net."""
    found = _shapes(recipe.arranged(_canonical(state, recipe, path)))
    differences = _Differences.between(found, wanted)
    if not any(differences):
        return
    if _lacks_flow_alone(found, differences, recipe.flow_prefix):
        raise CheckpointError(
            f"{path}: holds all of {recipe.name} but its flow net ({len(differences.missing)} entries, {recipe.flow_prefix}...). "
            "Name the file of the flow net, FlowNet2_checkpoint.pth.tar, with --flow-weights"
        )
    advice = _fitting_recipes(state, path)
    classes = recipe.classes_in(found)
    if classes and classes != len(recipe.labels) and not differences.missing and not differences.unexpected:
        labels = f"give its {classes} class names, in training order, with --labels"
        raise CheckpointError(
            f"{path}: the checkpoint has {classes + 1} classes incl. background, the recipe {recipe.name} with its labels has "
            f"{len(recipe.labels) + 1}. {f'{advice}, or {labels}' if advice else labels.capitalize()}"
        )
    reshaped = [f"{name} is {found[name]} in the file and {wanted[name]} in the net" for name in differences.misshaped]
    kinds = {"missing": differences.missing, "unexpected": differences.unexpected, "of another shape": reshaped}
    listed = "; ".join(f"{len(names)} {kind} ({listing(names)})" for kind, names in kinds.items() if names)
    raise CheckpointError(f"{path}: does not fit the recipe {recipe.name}. Keys: {listed}. {advice or 'It fits no other recipe either'}")


def _lacks_flow_alone(found: Shapes, differences: _Differences, prefix: str) -> bool:
    if not prefix or differences.unexpected or differences.misshaped:
        return False
    return all(name.startswith(prefix) for name in differences.missing) and not any(name.startswith(prefix) for name in found)


def _fitting_recipes(state: Mapping[str, Tensor], path: Path) -> str:
    """A sentence that names the recipes whose nets the file holds; empty when there are none."""
    fitting = [name for name, recipe in RECIPES.items() if _fits(state, recipe, path)]
    if not fitting:
        return ""
    return f"It fits the recipe {fitting[0]}: use that" if len(fitting) == 1 else f"It fits these recipes: {', '.join(fitting)}"


def _fits(state: Mapping[str, Tensor], recipe: Recipe, path: Path) -> bool:
    try:
        found = _shapes(recipe.arranged(_canonical(state, recipe, path)))
    except CheckpointError:
        return False
    return not any(_Differences.between(found, _wanted(recipe)))


@functools.lru_cache(maxsize=_REMEMBERED)
def _wanted(recipe: Recipe) -> Shapes:
    """What the recipe's net holds. Building it takes a quarter of a second, and a file may be compared with all recipes."""
    with torch.device("meta"):
        return _shapes(recipe.build_net().state_dict())


def _number(name: str, value: Tensor, path: Path) -> Tensor:
    """One entry as the net holds it: finite float32, or a batch counter."""
    if name.endswith(_BATCH_COUNTER):
        return value
    if not value.is_floating_point():
        raise CheckpointError(f"{path}: {name} is {value.dtype}, not floating point; only unquantised weights can be exported")
    value = value.float()
    if not torch.isfinite(value).all():
        raise CheckpointError(f"{path}: {name} holds NaN or infinite weights; the training diverged or the file is damaged")
    return value
