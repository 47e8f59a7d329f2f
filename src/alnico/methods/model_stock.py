"""Model Stock: go towards the average of the models as far as their changes agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alnico.methods._method import method
from alnico.tensors import interpolate, statistics

if TYPE_CHECKING:
    from torch import Tensor


FLAT = 1e-6
"""A divisor below this is that of changes which cancel: there is no way towards their average."""


@method(paper="https://arxiv.org/abs/2403.19522", at_least=2, symmetric=True, idempotent=True)
def model_stock(deltas: Tensor, filter_wise: bool = False) -> Tensor:
    """Average changes, the shorter the less they agree.

    With c the mean cosine between two changes, of the whole tensor or, `filter_wise`, of each
    vector along the last axis.

    deltas: [k, ...] -> [...]; `t sum_i delta_i / k` with `t = k c / (1 + (k - 1) c)`
    """
    k = len(deltas)
    if filter_wise:
        cosine = _cosine_by_row(deltas)
    else:
        cosines = interpolate.cosines(statistics.gram(deltas))
        cosine = (cosines.sum() - cosines.diagonal().sum()) / (k * (k - 1))
    divisor = 1.0 + (k - 1) * cosine
    ratio = k * cosine / divisor.where(divisor.abs() >= FLAT, 1.0)
    return statistics.add(deltas) / k * ratio.where(divisor.abs() >= FLAT, 0.0).to(deltas.dtype)


def _cosine_by_row(deltas: Tensor) -> Tensor:
    """The mean cosine between two models' vectors along the last axis. [k, ..., n] -> [..., 1]"""
    rows = deltas.double().reshape(len(deltas), *(deltas.shape[1:] or (1,)))
    length = rows.square().sum(-1, keepdim=True).sqrt()
    unit = rows / length.where(length != 0, 1.0)
    pairs = unit.sum(0).square().sum(-1, keepdim=True) - unit.square().sum((0, -1))[..., None]
    mean = pairs / (len(deltas) * (len(deltas) - 1))
    return mean.reshape(mean.shape[: deltas.ndim - 1])
