"""What users bring to a fusion or a distillation: rows in any form, models, and what they say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias, TypeGuard

import torch
from torch import Tensor, nn

from alnico.data.batches import Rows, concatenate, n_rows
from alnico.errors import DataError, IncompatibleModelsError
from alnico.probing import Outputs, read_outputs
from alnico.types import Batch, Task

Pair: TypeAlias = tuple[Batch, Tensor]
Labelled: TypeAlias = Pair | Rows | Iterable[Pair]
"""Inputs and target of rows: as a pair, as `Rows`, or as a loader of such pairs."""


def as_rows(data: Labelled) -> Rows:
    """All rows in memory, in the order in which they are given.

    Raises:
        DataError: If there are none, or a loader gives anything but pairs of inputs and target.
    """
    rows = data if isinstance(data, Rows) else _gather(data)
    if len(rows) == 0:
        raise DataError("there is nothing to learn from: the data have no rows")
    return rows


def _gather(data: Pair | Iterable[Pair]) -> Rows:
    pair = _pair(data)
    if pair is not None:
        return pair
    parts = []
    for part in data:
        found = _pair(part)
        if found is None:
            raise DataError(
                f"data must give pairs (inputs, target) of tensors, got a {_form(part)}",
                help="give (inputs, target), alnico.data.batches.Rows, or a loader of such pairs",
            )
        parts.append(found)
    return concatenate(parts) if parts else Rows(torch.empty(0), torch.empty(0))


def read_rows(data: Batch | Labelled) -> tuple[Rows, bool]:
    """All rows in memory, and whether they have a target; without one it is 0.

    Raises:
        DataError: As in `as_rows`.
    """
    if not isinstance(data, Tensor | Mapping):
        return as_rows(data), True
    if not _is_inputs(data):
        raise DataError(
            "named inputs must be tensors, got "
            + ", ".join(f"{name}: {type(part).__name__}" for name, part in dict(data).items())
        )
    return as_rows(Rows(data, torch.zeros(n_rows(data)))), False


def _is_inputs(value: object) -> TypeGuard[Batch]:
    """Whether a value is a batch of inputs: a tensor, or named ones."""
    if isinstance(value, Mapping):
        return all(isinstance(part, Tensor) for part in value.values())
    return isinstance(value, Tensor)


def _pair(value: object) -> Rows | None:
    if not isinstance(value, tuple | list) or len(value) != 2:
        return None
    inputs, target = value
    return Rows(inputs, target) if _is_inputs(inputs) and isinstance(target, Tensor) else None


def _form(value: object) -> str:
    name = type(value).__name__
    if isinstance(value, tuple | list):
        return f"{name} of " + ", ".join(type(part).__name__ for part in value[:4])
    return name


def said(name: str, model: nn.Module, inputs: Batch, *, layer: str | None = None) -> Outputs:
    """What a model says of all rows, and its features; checked.

    Args:
        name: Of the model, for messages.
        model: Any.
        inputs: All rows.
        layer: As in `alnico.probing.tap`.

    Raises:
        IncompatibleModelsError: If it does not say [n, c] finite numbers.
    """
    outputs = read_outputs(model, inputs, layer=layer)
    shape = outputs.logits.shape
    if len(shape) != 2 or shape[0] != n_rows(inputs):
        raise IncompatibleModelsError(
            f"{name} says {list(shape)} of {n_rows(inputs)} rows, not [n, outputs]",
            help="a network of one number a row gives [n, 1]",
        )
    n_bad = int((~outputs.logits.isfinite()).any(1).sum())
    if n_bad:
        raise IncompatibleModelsError(
            f"{name} says NaN or infinite numbers of {n_bad} of {shape[0]} rows",
            help="look for missing values in its inputs, or at how it was trained",
        )
    return outputs


def task_of(target: Tensor | None, n_outputs: int) -> Task:
    """The task that a target and a number of outputs speak of.

    Integers are class indices. Without a target one output is a number, several are classes.
    """
    is_number = n_outputs == 1 if target is None else target.is_floating_point()
    if is_number:
        return Task("regression")
    return Task("binary" if n_outputs == 2 else "multiclass", tuple(range(n_outputs)))


def check_task(task: Task, n_outputs: int) -> None:
    """See that models of so many outputs fit a task.

    Raises:
        IncompatibleModelsError: If they do not.
    """
    if task.n_outputs != n_outputs:
        raise IncompatibleModelsError(
            f"a {task.kind} task of {task.n_outputs} outputs does not fit models of {n_outputs}",
            help="a classification needs one output a class, a regression (float target) one",
        )


def fitting_target(target: Tensor, task: Task) -> Tensor:
    """The target as the losses read it: class indices (int64) or floats. [n]

    Raises:
        DataError: If it is not a target of that task.
    """
    if target.dim() != 1:
        raise DataError(
            f"the target must be [n], one entry a row, got {list(target.shape)}",
            help="target.squeeze(1), or target.argmax(1) of one-hot rows",
        )
    if not task.is_classification:
        if not target.isfinite().all():
            raise DataError("the target has values that are NaN or infinite")
        return target if target.is_floating_point() else target.float()
    if target.is_floating_point():
        raise DataError(
            f"the target of a {task.kind} task must be class indices, got {target.dtype}",
            help="target.long()",
        )
    low, high = int(target.min()), int(target.max())
    if low < 0 or high >= task.n_outputs:
        raise DataError(
            f"the target has the class {low if low < 0 else high}, and the task the classes 0 to "
            f"{task.n_outputs - 1}",
            help="number the classes from 0 on",
        )
    return target.long()
