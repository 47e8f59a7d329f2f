"""Model Breadcrumbs: cut both tails of each change, the small and the very large entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from alnico.methods import _trim
from alnico.methods._method import Fractions, method, per_model
from alnico.tensors import consensus

if TYPE_CHECKING:
    from torch import Tensor


@method(paper="https://arxiv.org/abs/2312.06795", symmetric=True)
def breadcrumbs(
    deltas: Tensor,
    weight: Tensor = per_model(1.0),
    density: Fractions = per_model(0.9),
    outliers: Fractions = per_model(0.01),
    scale: float = 1.0,
    normalize: Literal["none", "weights"] = "none",
    rescale: Literal["none", "l1"] = "none",
) -> Tensor:
    """Add changes without their small and very large entries.

    deltas: [k, ...], weight, density, outliers: [k, 1, ...] -> [...]; `cut` drops the share
    `outliers` that is largest and keeps the share `density` below: `scale * sum_i weight_i cut_i`
    """
    kept = _trim.between(deltas, density, outliers, rescale)
    return consensus.weighted_sum(kept, weight, normalize) * scale
