"""DARE: drop most of each change at random, and rescale what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from alnico.methods import _trim
from alnico.methods._method import Fractions, method, per_model
from alnico.tensors import consensus

if TYPE_CHECKING:
    from torch import Tensor


@method(paper="https://arxiv.org/abs/2311.03099")
def dare_linear(
    deltas: Tensor,
    weight: Tensor = per_model(1.0),
    density: Fractions = per_model(0.5),
    scale: float = 1.0,
    normalize: Literal["none", "weights"] = "none",
    rescale: Literal["none", "inverse", "l1"] = "inverse",
) -> Tensor:
    """Add random parts of the changes, each part rescaled.

    deltas: [k, ...], weight, density: [k, 1, ...] -> [...]; with `m_i` 1 with probability
    `density_i` and 0 otherwise, `scale * sum_i weight_i m_i delta_i / density_i`
    """
    kept = _trim.at_random(deltas, density, rescale)
    return consensus.weighted_sum(kept, weight, normalize) * scale
