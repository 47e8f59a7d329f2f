"""DARE with an elected sign: drop most of each change at random, then merge as TIES does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from alnico.methods import _trim
from alnico.methods._method import Fractions, method, per_model
from alnico.tensors import consensus

if TYPE_CHECKING:
    from torch import Tensor


@method(paper="https://arxiv.org/abs/2311.03099")
def dare_ties(
    deltas: Tensor,
    weight: Tensor = per_model(1.0),
    density: Fractions = per_model(0.5),
    scale: float = 1.0,
    normalize: Literal["none", "models", "weights"] = "none",
    rescale: Literal["none", "inverse", "l1"] = "inverse",
) -> Tensor:
    """Add random parts of changes that have the elected sign.

    deltas: [k, ...], weight, density: [k, 1, ...] -> [...]; with `m_i` 1 with probability
    `density_i` and 0 otherwise, `v_i = weight_i m_i delta_i / density_i` and `s = sign(sum_i v_i)`,
    `scale * sum of the v_i that have the sign s`
    """
    kept = _trim.at_random(deltas, density, rescale)
    return consensus.agreeing_sum(kept, weight, normalize) * scale
