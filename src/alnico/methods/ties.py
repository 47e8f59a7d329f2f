"""TIES: trim each change, elect a sign per entry, and average those that have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from alnico.methods import _trim
from alnico.methods._method import Fractions, method, per_model
from alnico.tensors import consensus

if TYPE_CHECKING:
    from torch import Tensor


@method(paper="https://arxiv.org/abs/2306.01708", symmetric=True)
def ties(
    deltas: Tensor,
    weight: Tensor = per_model(1.0),
    density: Fractions = per_model(0.2),
    scale: float = 1.0,
    normalize: Literal["models", "weights", "none"] = "models",
    rescale: Literal["none", "l1"] = "none",
) -> Tensor:
    """Average changes without letting opposite signs cancel.

    A change is multiplied by its weight first, so that it votes with it; the mean is over models.

    deltas: [k, ...], weight, density: [k, 1, ...] -> [...]; with `v_i = weight_i trim(delta_i)` and
    `s = sign(sum_i v_i)`, `scale * mean of the v_i that have the sign s`
    """
    kept = _trim.largest(deltas, density, rescale)
    return consensus.agreeing_sum(kept, weight, normalize) * scale
