"""DELLA: drop at random, small changes more often than large ones, then merge as TIES does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from alnico.methods import _trim
from alnico.methods._method import Fractions, method, per_model
from alnico.tensors import consensus

if TYPE_CHECKING:
    from torch import Tensor


@method(paper="https://arxiv.org/abs/2406.11617")
def della(
    deltas: Tensor,
    weight: Tensor = per_model(1.0),
    density: Fractions = per_model(0.5),
    spread: Fractions = per_model(0.15),
    scale: float = 1.0,
    normalize: Literal["models", "weights", "none"] = "models",
    rescale: Literal["none", "inverse", "l1"] = "inverse",
) -> Tensor:
    """Average parts of the changes, large entries the likelier.

    deltas: [k, ...], weight, density, spread: [k, 1, ...] -> [...]; with `p` from
    `density - spread` to `density + spread` by rank within a row and `m` 1 with probability `p`,
    `v_i = weight_i m_i delta_i / p_i` and `s = sign(sum_i v_i)`, `scale * mean of the v_i that have
    the sign s`
    """
    kept = _trim.by_rank(deltas, density, spread, rescale)
    return consensus.agreeing_sum(kept, weight, normalize) * scale
