"""Fuse networks of different structure: their outputs, or what their layers hold, become one."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from alnico.data.batches import n_rows
from alnico.errors import DataError, IncompatibleModelsError, RecipeError
from alnico.fusing.fused import Fused
from alnico.fusing.given import Labelled, as_rows, check_task, fitting_target, said, task_of
from alnico.probing import find_layer
from alnico.structures import Parts, Structure, structures
from alnico.types import Batch, Task


def fuse(
    models: Sequence[nn.Module],
    structure: str = "average",
    *,
    data: Labelled | None = None,
    taps: str | Sequence[str | None] | None = None,
    example: Batch | None = None,
    task: Task | None = None,
) -> Fused:
    """Make one network of several that read the same inputs and say the same kind of thing.

    With data, the structure is learned from them while the models stay as they are; rows that the
    models were not trained on serve best. It chooses among the models and may leave some out:
    `chosen` of the result says which remain. Without data all models are members, and the whole is
    their mean (of probabilities for `average` and `selection`, of logits for all others), ready to
    be trained further.

    Args:
        models: At least two, of any class, that map the same inputs to [n, c]; they are copied.
        structure: `average`, `selection`, `stacking`, `concat`, `attention`, or one of your own.
        data: (inputs, target), `Rows`, or a loader of (inputs, target) pairs, read once.
        taps: The layers whose outputs `concat` and `attention` join: one name for all models, or
            one of each. None takes what goes into the linear layer that runs last.
        example: Inputs of a few rows, which say how wide the layers are where there are no data;
            None reads that from the linear layer that each model defines last.
        task: What is predicted; None reads it from the target (integers are classes, floats a
            number) or, without data, from the number of outputs (one is a number).

    Returns:
        A network in evaluation mode.

    Raises:
        RecipeError: If models or taps are too few, or nothing says how wide the layers are.
        UnknownNameError: If there is no such structure, or no such layer.
        IncompatibleModelsError: If the models' outputs differ, do not fit the task, or are NaN.
        DataError: If the data cannot be learned from.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> deep = nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 2))
        >>> fuse([deep, nn.Linear(4, 2)], "concat")(torch.zeros(3, 4)).shape
        torch.Size([3, 2])
    """
    kind = structures[structure]
    layers = _layers(models, taps)
    members = [copy.deepcopy(model).eval() for model in models]
    if data is None:
        fresh = _fresh(kind, members, layers, example, task)
        return Fused(members, fresh, layers).eval()
    rows = as_rows(data)
    parts = _parts(members, layers, rows.inputs)
    c = parts.logits.shape[2]
    task = task or task_of(rows.target, c)
    check_task(task, c)
    learned = kind.learn(parts, fitting_target(rows.target, task), task)
    chosen = learned.members
    some, taps = [members[i] for i in chosen], [layers[i] for i in chosen]
    return Fused(some, learned.structure, taps, chosen=chosen).eval()


def _layers(
    models: Sequence[nn.Module], taps: str | Sequence[str | None] | None
) -> list[str | None]:
    """The tapped layer of each model, checked before anything is computed."""
    if len(models) < 2:
        raise RecipeError(
            f"fuse needs at least two models, got {len(models)}", help="give them as a list"
        )
    layers = [taps] * len(models) if taps is None or isinstance(taps, str) else list(taps)
    if len(layers) != len(models):
        raise RecipeError(
            f"{len(models)} models need as many taps, got {len(layers)}",
            help="give one name for all, or one a model",
        )
    for model, layer in zip(models, layers, strict=True):
        if layer is not None:
            find_layer(model, layer)
    return layers


def _parts(members: Sequence[nn.Module], layers: Sequence[str | None], inputs: Batch) -> Parts:
    """What all members say of some rows."""
    outputs = [
        said(f"model {i}", member, inputs, layer=layer)
        for i, (member, layer) in enumerate(zip(members, layers, strict=True), start=1)
    ]
    _check_widths([o.logits.shape[1] for o in outputs])
    return Parts.of(outputs)


def _check_widths(widths: Sequence[int]) -> None:
    if len(set(widths)) > 1:
        found = ", ".join(f"model {i} gives [n, {w}]" for i, w in enumerate(widths, start=1))
        raise IncompatibleModelsError(
            f"the models differ in the shape of their outputs: {found}",
            help="fuse models of one task; give those of another a head of this task first",
        )


def _fresh(
    kind: type[Structure],
    members: Sequence[nn.Module],
    layers: Sequence[str | None],
    example: Batch | None,
    task: Task | None,
) -> Structure:
    """A structure that has learned nothing, from what its signature asks for."""
    if example is not None:
        if n_rows(example) == 0:
            raise DataError("the example has no rows", help="give inputs of a few rows")
        parts = _parts(members, layers, example)
        widths, c = parts.widths, parts.logits.shape[2]
    else:
        widths, c = _read_widths(members, layers)
    task = task or task_of(None, c)
    check_task(task, c)
    known: dict[str, Any] = {
        "widths": widths,
        "n_outputs": c,
        "n_members": len(members),
        "weights": [1 / len(members)] * len(members),
        "is_classification": task.is_classification,
    }
    return kind(**_arguments(kind, known))


def _read_widths(
    members: Sequence[nn.Module], layers: Sequence[str | None]
) -> tuple[list[int], int]:
    """Widths of features and of outputs, from the linear layer that each member defines last."""
    linear = [[m for m in member.modules() if isinstance(m, nn.Linear)] for member in members]
    if any(layer is not None for layer in layers) or not all(linear):
        raise RecipeError(
            "how wide the models' layers are cannot be read from the models",
            help="give example=, the inputs of a few rows, or data=",
        )
    _check_widths([found[-1].out_features for found in linear])
    return [found[-1].in_features for found in linear], linear[0][-1].out_features


def _arguments(kind: type[Structure], known: Mapping[str, Any]) -> dict[str, Any]:
    asked = inspect.signature(kind).parameters.values()
    missing = [p.name for p in asked if p.name not in known and p.default is p.empty]
    if missing:
        raise RecipeError(
            f"the structure {kind.name!r} cannot begin without data: it needs {missing[0]}",
            help="give data= to learn it from",
        )
    return {p.name: known[p.name] for p in asked if p.name in known}
