"""Model Breadcrumbs with an elected sign: cut both tails, then merge as TIES does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from alnico.methods import _trim
from alnico.methods._method import Fractions, method, per_model
from alnico.tensors import consensus

if TYPE_CHECKING:
    from torch import Tensor


@method(paper="https://arxiv.org/abs/2312.06795", symmetric=True)
def breadcrumbs_ties(
    deltas: Tensor,
    weight: Tensor = per_model(1.0),
    density: Fractions = per_model(0.9),
    outliers: Fractions = per_model(0.01),
    scale: float = 1.0,
    normalize: Literal["none", "models", "weights"] = "none",
    rescale: Literal["none", "l1"] = "none",
) -> Tensor:
    """Add the middle of changes where it has the elected sign.

    deltas: [k, ...], weight, density, outliers: [k, 1, ...] -> [...]; `cut` drops the share
    `outliers` that is largest and keeps the share `density` below; with `v_i = weight_i cut_i` and
    `s = sign(sum_i v_i)`, `scale * sum of the v_i that have the sign s`
    """
    kept = _trim.between(deltas, density, outliers, rescale)
    return consensus.agreeing_sum(kept, weight, normalize) * scale
