"""Calibration: one scale and an offset that make a network's outputs mean what they say.

Classes: `softmax(logits * scale + offset)` with the least log-loss (Platt, 1999; Guo et al., 2017).
Numbers: the least-squares line through predictions and targets. The scale is always positive, so
no ranking within an output is turned around.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from alnico.errors import DataError
from alnico.types import Task

RIDGE = 1e-3
"""Weight of the squared parameters beside the summed loss: keeps separable data finite."""

SCALE_FLOOR = 1e-3
"""The least scale, of outputs with unit spread: outputs that are worse than noise fade to it."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a network's outputs are multiplied by, and what is then added.

    Args:
        scale: [], positive; the reciprocal of the temperature.
        offset: [c]; sums to 0 over classes.
    """

    scale: Tensor
    offset: Tensor

    def __call__(self, logits: Tensor) -> Tensor:
        """Calibrate outputs, [..., c] -> [..., c], in their own dtype."""
        return logits * self.scale.to(logits) + self.offset.to(logits)


def fit_calibration(logits: Tensor, target: Tensor, task: Task) -> Calibration:
    """Fit the calibration with the least loss on these rows.

    Args:
        logits: [n, c] outputs of the network.
        target: [n], the index of each row's class; of a regression its value in the units of the
            outputs, `(value - task.center) / task.scale`.
        task: What is predicted.

    Returns:
        Scale and offset in the dtype and on the device of `logits`. A class without a row has
        nothing to learn from: it is left out, and its offset is 0.

    Raises:
        DataError: If shapes do not fit, there are no rows, or a value is NaN or infinite.
    """
    _check(logits, target, task)
    outputs = logits.detach().double().cpu()
    if task.is_classification:
        scale, offset = _fit_classes(outputs, target.detach().long().cpu())
    else:
        scale, offset = _fit_line(outputs[:, 0], target.detach().double().cpu())
    return Calibration(scale.to(logits), offset.to(logits))


def crossfit(logits: Tensor, target: Tensor, folds: Tensor, task: Task) -> Tensor:
    """Calibrate each row by a calibration that was fitted on the rows of all other folds.

    Args:
        logits: [n, c] outputs of the network.
        target: [n], as `fit_calibration` takes it.
        folds: [n], the fold of each row, any integers.
        task: What is predicted.

    Returns:
        [n, c] calibrated outputs: what calibrated outputs for new rows are like.

    Raises:
        DataError: If there are fewer than two folds, or `fit_calibration` refuses.
    """
    names = torch.unique(folds)
    if folds.shape != target.shape or len(names) < 2:
        raise DataError(
            f"cross-fitting needs a fold for each of {len(target)} rows and at least 2 folds, "
            f"got {len(names)} in a tensor {list(folds.shape)}"
        )
    calibrated = torch.empty_like(logits)
    for name in names:
        held_out = folds == name
        fitted = fit_calibration(logits[~held_out], target[~held_out], task)
        calibrated[held_out] = fitted(logits[held_out])
    return calibrated


def _check(logits: Tensor, target: Tensor, task: Task) -> None:
    if logits.ndim != 2 or logits.shape[1] != task.n_outputs or target.shape != logits.shape[:1]:
        raise DataError(
            f"calibration takes [n, {task.n_outputs}] outputs and [n] targets, "
            f"got {list(logits.shape)} and {list(target.shape)}"
        )
    if len(target) == 0:
        raise DataError("calibration needs at least one row")
    for what, values in (("outputs", logits), ("targets", target)):
        bad = int((~values.isfinite()).sum())
        if bad:
            raise DataError(f"calibration: {bad} of {values.numel()} {what} are NaN or infinite")
    if task.is_classification and (target.min() < 0 or target.max() >= task.n_outputs):
        raise DataError(f"calibration: class indices must lie in 0 to {task.n_outputs - 1}")


def _fit_classes(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    n_classes = logits.shape[1]
    occurs = torch.bincount(target, minlength=n_classes) > 0
    offset = torch.zeros(n_classes, dtype=logits.dtype)
    if occurs.sum() < 2:
        return torch.ones((), dtype=logits.dtype), offset
    kept, index = logits[:, occurs], (occurs.cumsum(0) - 1)[target]
    kept = kept - kept.mean(1, keepdim=True)  # softmax does not see a shift of a row
    spread = kept.square().mean().sqrt()
    unit = spread if spread > 0 else torch.ones_like(spread)
    fitted = _newton(kept / unit, index)
    if fitted[0] < SCALE_FLOOR:  # convex, so the best allowed scale is then the least one
        fitted = _newton(kept / unit, index, scale=SCALE_FLOOR)
    offset[occurs] = fitted[1:] - fitted[1:].mean()
    return fitted[0] / unit, offset


def _newton(logits: Tensor, target: Tensor, *, scale: float | None = None) -> Tensor:
    """Minimise the log-loss over scale and offsets, or over offsets alone at a given scale.

    logits: [n, c], target: [n] -> [1 + c]; damped Newton steps on a strictly convex function.
    """
    free = slice(0 if scale is None else 1, None)
    theta = torch.zeros(1 + logits.shape[1], dtype=logits.dtype)
    theta[0] = 1.0 if scale is None else scale
    for _ in range(100):
        loss, slope, curvature = _loss(theta, logits, target), *_derivatives(theta, logits, target)
        step = torch.zeros_like(theta)
        step[free] = -torch.linalg.solve(curvature[free, free], slope[free])
        decrease = float(slope @ step)
        if -decrease < 1e-10 * (1 + loss):  # below it the loss itself is noise
            return theta + step
        size = 1.0
        while size > 1e-8 and _loss(theta + size * step, logits, target) > (
            loss + 1e-4 * size * decrease
        ):
            size /= 2
        theta = theta + size * step
    return theta


def _loss(theta: Tensor, logits: Tensor, target: Tensor) -> float:
    calibrated = logits * theta[0] + theta[1:]
    summed = torch.nn.functional.cross_entropy(calibrated, target, reduction="sum")
    return float(summed + RIDGE / 2 * theta.square().sum())


def _derivatives(theta: Tensor, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient [1 + c] and Hessian [1 + c, 1 + c] of `_loss`."""
    p = (logits * theta[0] + theta[1:]).softmax(1)
    off = p.clone()
    off[torch.arange(len(target)), target] -= 1
    slope = torch.cat([(off * logits).sum()[None], off.sum(0)]) + RIDGE * theta
    around = logits - (p * logits).sum(1, keepdim=True)  # from the mean under p
    across = (p * around).sum(0)
    curvature = torch.empty(len(theta), len(theta), dtype=theta.dtype)
    curvature[0, 0] = (p * around.square()).sum()
    curvature[0, 1:] = curvature[1:, 0] = across
    curvature[1:, 1:] = p.sum(0).diag() - p.T @ p
    return slope, curvature + RIDGE * torch.eye(len(theta), dtype=theta.dtype)


def _fit_line(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    centred = output - output.mean()
    spread = centred.square().sum()
    slope = (centred * target).sum() / spread if spread > 0 else torch.ones_like(spread)
    slope = slope.clamp(min=SCALE_FLOOR)
    return slope, (target.mean() - slope * output.mean())[None]
