"""Distillation: one network learns what another says (Hinton, Vinyals, Dean 2015)."""

from __future__ import annotations

from torch import Tensor, nn

from alnico import progress
from alnico.data.batches import Rows, map_batch
from alnico.errors import IncompatibleModelsError, RecipeError
from alnico.fusing.augment import ColumnIds
from alnico.fusing.given import Labelled, fitting_target, read_rows, said, task_of
from alnico.fusing.soft_loss import distillation_loss, mixed_loss, with_label
from alnico.fusing.soften import soften
from alnico.training import Setting, train
from alnico.training.learner import Loss
from alnico.types import Batch, Task

SETTING = Setting("adamw", 2e-3)
"""How a student is trained if nothing else is said."""


def distill(
    teacher: nn.Module,
    student: nn.Module,
    *,
    data: Batch | Labelled,
    valid: Batch | Labelled | None = None,
    task: Task | None = None,
    temperature: float = 2.0,
    hard: float = 0.0,
    copies: int = 1,
    columns: ColumnIds | None = None,
    setting: Setting = SETTING,
    epochs: int = 20,
    patience: int | None = None,
    batch_size: int = 256,
    seed: int = 0,
    deadline: float | None = None,
) -> nn.Module:
    """Teach a copy of `student` to say what `teacher` says, on rows and augmented copies of them.

    Args:
        teacher: A network whose outputs are [n, c], e.g. a `Fused`.
        student: A network of the same inputs and outputs, trained or not.
        data: Inputs alone; or (inputs, target), `Rows`, or a loader of such pairs.
        valid: Chooses the best epoch, by its target or else by what the teacher says of it; without
            it the last is kept.
        task: What is predicted; None reads it from the target, or from the number of outputs.
        temperature: Softens both distributions, above 0; not used in a regression.
        hard: Share of the loss on the target itself, in [0, 1].
        copies: Augmented copies of each row, see `soften`; they have no target of their own.
        columns: Which entries of named inputs are one column, see `swap_cells`.
        setting: How the student is trained; its seed decides the order of the rows.
        epochs: Passes over rows and copies.
        patience: Stop after so many epochs without a better loss on `valid`.
        batch_size: Rows of a batch.
        seed: Of the augmented copies.
        deadline: A value of `time.monotonic` after which no step is taken.

    Raises:
        RecipeError: If a parameter is out of range, or the student diverges.
        IncompatibleModelsError: If teacher, student and task differ in their outputs.
        DataError: If the data cannot be learned from.

    Example:
        >>> import torch
        >>> teacher, student = torch.nn.Linear(4, 2), torch.nn.Linear(4, 2)
        >>> taught = distill(teacher, student, data=torch.randn(64, 4), epochs=2)
    """
    rows, is_labelled = read_rows(data)
    _check(temperature=temperature, hard=hard, copies=copies, is_labelled=is_labelled)
    task = _agreed(teacher, student, rows.inputs, rows.target if is_labelled else None, task)
    lesson = soften(teacher, rows, copies=copies, columns=columns, seed=seed)
    loss = distillation_loss(task.kind, temperature=temperature)
    if hard > 0:
        lesson = with_label(lesson, fitting_target(rows.target, task))
        loss = mixed_loss(task.kind, temperature=temperature, hard=hard)
    watched = None if valid is None else _watched(teacher, valid, task)
    return _trained(student, lesson, watched, loss, setting, epochs, patience, batch_size, deadline)


def _check(*, temperature: float, hard: float, copies: int, is_labelled: bool) -> None:
    faults = []
    if not 0 < temperature < float("inf"):
        faults.append(f"temperature must be above 0, got {temperature}")
    if not 0 <= hard <= 1:
        faults.append(f"hard must lie in [0, 1], got {hard}")
    if copies < 0:
        faults.append(f"copies must be at least 0, got {copies}")
    if faults:
        raise RecipeError("distill: " + "; ".join(faults))
    if hard > 0 and not is_labelled:
        raise RecipeError(
            f"distill: hard={hard} asks for a target, and the data are inputs alone",
            help="give data=(inputs, target), or hard=0",
        )


def _agreed(
    teacher: nn.Module, student: nn.Module, inputs: Batch, target: Tensor | None, task: Task | None
) -> Task:
    """The task, once teacher and student are seen to have its number of outputs on a first row."""
    first = map_batch(lambda tensor: tensor[:1], inputs)
    told = said("the teacher", teacher, first).logits.shape[1]
    own = said("the student", student, first).logits.shape[1]
    task = task or task_of(target, told)
    if not told == own == task.n_outputs:
        raise IncompatibleModelsError(
            f"the teacher has {told} outputs, the student {own}, the {task.kind} task "
            f"{task.n_outputs}",
            help="give all of them one output a class, or one for a number",
        )
    return task


def _watched(teacher: nn.Module, valid: Batch | Labelled, task: Task) -> Rows:
    rows, is_labelled = read_rows(valid)
    if not is_labelled:
        return soften(teacher, rows, copies=0, seed=0)
    return Rows(rows.inputs, fitting_target(rows.target, task), rows.length)


def _trained(
    student: nn.Module,
    lesson: Rows,
    watched: Rows | None,
    loss: Loss,
    setting: Setting,
    epochs: int,
    patience: int | None,
    batch_size: int,
    deadline: float | None,
) -> nn.Module:
    training = train(
        [student],
        lesson,
        settings=[setting],
        loss=loss,
        valid=watched,
        epochs=epochs,
        patience=patience,
        batch_size=batch_size,
        clip=1.0,
        way="loop",
        deadline=deadline,
        averages=False,
    )
    trained = training.members[0]
    if trained.best_epoch == 0 and trained.stopped == "diverged":
        raise RecipeError(
            "distill: the student's loss is not finite in its first epoch",
            help="give a setting with a lower rate",
        )
    if trained.best_epoch == 0:
        progress.warn("no time was left to distill: the student is as it came")
    return trained.module
