"""The losses of distillation: against what a teacher says, and against labels."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from alnico.data.batches import Rows
from alnico.structures import row_loss
from alnico.training.learner import Loss
from alnico.types import Kind, Task


def distillation_loss(kind: Kind, *, temperature: float = 2.0) -> Loss:
    """The mean loss of outputs [n, c] against what a teacher says [n, c], or against a target [n].

    Against the teacher: `temperature^2 KL(softmax(teacher / temperature) || softmax(output /
    temperature))`, or the squared error in a regression. Against a target (class indices, numbers):
    cross-entropy, or the squared error. So one loss trains on soft targets and validates on labels.

    Args:
        kind: The task's.
        temperature: Above 0.
    """
    task = Task(kind)

    def loss(output: Tensor, target: Tensor) -> Tensor:
        if target.dim() == 1:
            return row_loss(output, target, task).mean()
        return _soft_loss(output, target, kind, temperature).mean()

    return loss


def _soft_loss(output: Tensor, target: Tensor, kind: Kind, temperature: float) -> Tensor:
    """[n, c], [n, c] -> [n]"""
    if kind == "regression":
        return (output - target).square().mean(1)
    told = (target / temperature).log_softmax(1)
    own = (output / temperature).log_softmax(1)
    return temperature**2 * F.kl_div(own, told, reduction="none", log_target=True).sum(1)


def mixed_loss(kind: Kind, *, temperature: float, hard: float) -> Loss:
    """The mean loss against what `with_label` puts together, or against a target [n].

    Args:
        kind: The task's.
        temperature: Above 0.
        hard: Share of the loss on the label, on rows that have one.
    """
    task, soft = Task(kind), distillation_loss(kind, temperature=temperature)

    def loss(output: Tensor, target: Tensor) -> Tensor:
        if target.dim() == 1:
            return soft(output, target)
        told, label = target[:, :-1], target[:, -1]
        is_known = ~label.isnan()
        label = label.nan_to_num(0.0)
        on_label = row_loss(output, label.long() if task.is_classification else label, task)
        on_teacher = _soft_loss(output, told, kind, temperature)
        return torch.where(is_known, torch.lerp(on_teacher, on_label, hard), on_teacher).mean()

    return loss


def with_label(soft: Rows, label: Tensor) -> Rows:
    """Put labels beside a teacher's outputs, NaN where there are none. [n, c], [m] -> [n, c + 1]

    Args:
        soft: Rows with soft targets.
        label: Of the first m of them: augmented copies, which come after, have none.
    """
    column = torch.full(
        (len(soft), 1), math.nan, dtype=soft.target.dtype, device=soft.target.device
    )
    column[: len(label), 0] = label.to(column)
    return Rows(soft.inputs, torch.cat([soft.target, column], 1), soft.length)
