"""What stays of each model's change, and how it makes up for the rest: four ways to thin a change.

They are the first step of the methods on task vectors; the second is a sum (`tensors.consensus`).
Each is deltas [k, ...] -> [k, ...]; a share of each model's is [k, 1, ...]. `rescale="l1"` gives a
model's tensor the sum of magnitudes back that it had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alnico.errors import RecipeError
from alnico.tensors import sparsify

if TYPE_CHECKING:
    from torch import Tensor


def largest(deltas: Tensor, density: Tensor, rescale: str) -> Tensor:
    """Keep the share `density` that is largest in magnitude, at least one entry (TIES)."""
    kept = sparsify.keep_largest(deltas, density, at_least=1)
    return sparsify.same_mass(kept, deltas) if rescale == "l1" else kept


def between(deltas: Tensor, density: Tensor, outliers: Tensor, rescale: str) -> Tensor:
    """Drop the share `outliers` that is largest, keep the share `density` that follows.

    Where the two are more than everything, `density` is kept and less is dropped (Breadcrumbs).
    """
    dropped = outliers.minimum(1.0 - density)
    reached = sparsify.keep_largest(deltas, density + dropped, at_least=1)
    kept = reached - sparsify.keep_largest(deltas, dropped)
    return sparsify.same_mass(kept, deltas) if rescale == "l1" else kept


def at_random(deltas: Tensor, density: Tensor, rescale: str) -> Tensor:
    """Keep each entry with probability `density` (DARE).

    `rescale="inverse"` divides by that, so that the expected change is the change.
    """
    kept = sparsify.keep_random(deltas, density)
    if rescale == "inverse":
        return kept / density.where(density > 0, 1.0)
    return sparsify.same_mass(kept, deltas) if rescale == "l1" else kept


def by_rank(deltas: Tensor, density: Tensor, spread: Tensor, rescale: str) -> Tensor:
    """Keep each entry with a probability that grows with its rank in its row (DELLA).

    From `density - spread` for the smallest to `density + spread` for the largest. A density of 1
    keeps everything and 0 nothing. `rescale="inverse"` divides each entry by its probability.

    Raises:
        RecipeError: If a probability would not lie between 0 and 1.
    """
    settled = (density == 0) | (density == 1)
    inside = (density - spread > 0) & (density + spread < 1)
    if not bool((settled | inside).all()):
        densities, spreads = (
            ", ".join(f"{share:g}" for share in shares.flatten().tolist())
            for shares in (density, spread)
        )
        raise RecipeError(
            "density - spread must be above 0 and density + spread below 1, "
            f"got density {densities} and spread {spreads}",
            help="take a smaller spread; a density of 1 keeps everything",
        )
    ranked = sparsify.rank_probability(deltas, density, spread.where(~settled, 0.0))
    kept = sparsify.keep_random(deltas, ranked)
    if rescale == "inverse":
        return kept / ranked.where(ranked > 0, 1.0)
    return sparsify.same_mass(kept, deltas) if rescale == "l1" else kept
