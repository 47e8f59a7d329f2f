"""Which entries of one change stay, by mergekit's four rules; the others become 0.

A dropped entry is multiplied by 0: a dropped infinity is NaN, a dropped negative number -0. Ties
are broken as torch's unstable sort happens to leave them. A density of 1 or more keeps everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alnico.errors import RecipeError

if TYPE_CHECKING:
    from torch import Tensor

NOTHING = 1e-7
"""Sums of magnitudes below this are not brought to one another."""


def largest(delta: Tensor, density: float, _: float, rescale: bool) -> Tensor:
    """Keep `density * n` entries of the largest magnitude, rounded down, and at least one (TIES).

    Args:
        delta: One model's change. [...]
        density: Which share of its entries stays; 0 and less is none.
        rescale: Whether the sum of magnitudes is kept.

    Returns:
        [...]
    """
    if density >= 1:
        return delta
    if density <= 0:
        return delta.new_zeros(delta.shape)
    n_kept = max(1, int(density * delta.numel()))
    order = delta.abs().float().flatten().argsort(descending=True)
    return _keep(delta, _ones_at(order[:n_kept], delta), rescale)


def middle(delta: Tensor, density: float, gamma: float, rescale: bool) -> Tensor:
    """Drop `gamma * n` entries of the largest magnitude, keep `density * n` below (Breadcrumbs).

    Args:
        delta: One model's change. [...]
        density: Which share of its entries stays, rounded down.
        gamma: Which share is dropped from the top, rounded down; less if too few are left.
        rescale: Whether the sum of magnitudes is kept.

    Returns:
        [...]
    """
    if density >= 1:
        return delta
    n_entries = delta.numel()
    n_kept = int(density * n_entries)
    first = max(0, n_entries - n_kept - int(gamma * n_entries))
    order = delta.abs().float().flatten().argsort()
    return _keep(delta, _ones_at(order[first : first + n_kept], delta), rescale)


def random(delta: Tensor, density: float, _: float, rescale: bool) -> Tensor:
    """Keep each entry with the chance `density` (DARE). Draws from torch's global generator.

    float16 and float64 are computed in float32 on the CPU.

    Args:
        delta: One model's change. [...]
        density: The chance to stay.
        rescale: Whether the sum of magnitudes is kept; this is not the paper's `1 / density`.

    Returns:
        [...]

    Raises:
        RecipeError: If the chance is negative.
    """
    if density >= 1:
        return delta
    if density < 0:
        raise RecipeError(f"density is the chance to stay, and must not be negative, got {density}")
    work = _drawable(delta)
    mask = work.new_full(work.shape, density).bernoulli()
    return _keep(work, mask, rescale).to(delta.dtype)


def ranked(delta: Tensor, density: float, epsilon: float, rescale: bool) -> Tensor:
    """Keep each entry with a chance that grows with its magnitude's rank (DELLA).

    The chance goes from `density - epsilon` to `density + epsilon` along dimension 1, which in a
    convolution's kernel is that of its inputs; a vector is one row. Draws from torch's global
    generator. float16 and float64 are computed in float32 on the CPU.

    Args:
        delta: One model's change. [...]
        density: The mean chance to stay; 0 and less is none.
        epsilon: How far the chance goes from its mean.
        rescale: Whether the sum of magnitudes is kept; this is not the paper's `1 / chance`.

    Returns:
        [...]

    Raises:
        RecipeError: If a chance leaves (0, 1), or a row is too short to be ranked.
    """
    import torch

    if density >= 1:
        return delta
    if density <= 0:
        return delta.new_zeros(delta.shape)
    low = density - epsilon
    if not (low > 0 and density + epsilon < 1):
        raise RecipeError(
            f"density - epsilon and density + epsilon must lie within 0 and 1, got density "
            f"{density} and epsilon {epsilon}",
            help="make epsilon smaller",
        )
    work = _drawable(delta)
    rows = work.unsqueeze(0) if work.ndim == 1 else work
    if rows.ndim == 0 or rows.shape[1] < 2 or rows.numel() == 0:
        raise RecipeError(
            f"della ranks entries along dimension 1, which a tensor of shape {list(delta.shape)} "
            "has fewer than two of",
            help="set its density to 1, or merge it by another method",
        )
    order = rows.abs().argsort(dim=1)
    place = torch.arange(order.shape[1], device=order.device).view([1, -1] + [1] * (order.ndim - 2))
    rank = torch.empty_like(order).scatter_(1, order, place.expand_as(order)).to(work.dtype) + 1
    last = work.new_tensor(order.shape[1] - 1) + 1  # rounded as its rank is
    share = (rank - 1) / (last - 1)
    chance = low + 2 * epsilon * share
    return _keep(work, chance.bernoulli().reshape(delta.shape), rescale).to(delta.dtype)


def _drawable(delta: Tensor) -> Tensor:
    """The change in the dtype that its mask is drawn in."""
    import torch

    kept = delta.dtype == torch.bfloat16 or delta.device.type != "cpu"
    return delta if kept else delta.float()


def _ones_at(places: Tensor, like: Tensor) -> Tensor:
    mask = like.new_zeros(like.numel())
    mask[places] = 1
    return mask.reshape(like.shape)


def _keep(delta: Tensor, mask: Tensor, rescale: bool) -> Tensor:
    kept = delta * mask
    if not rescale:
        return kept
    before, after = delta.abs().sum(), kept.abs().sum()
    return kept if before < NOTHING or after < NOTHING else kept * (before / after)
