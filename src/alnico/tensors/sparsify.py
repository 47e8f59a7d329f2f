"""Which entries of each model's tensor stay; the others become 0."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

from alnico.tensors import noise, statistics
from alnico.tensors.traced import Traced

if TYPE_CHECKING:
    from torch import Tensor

SHORT_ROW = 32
NO_MASS = 1e-7
"""A sum of magnitudes below this cannot be scaled to another."""


def keep_largest(deltas: Tensor, density: float | Tensor, *, at_least: int = 0) -> Tensor:
    """Keep the share `density` of each model's entries that is largest in magnitude.

    Of n entries `density * n` stay, rounded to the nearest whole number, a half up; and not fewer
    than `at_least` unless `density` is 0. Of equal magnitudes the earlier in row-major order stays.
    NaN counts as the largest of all: it is not hidden.

    Args:
        deltas: [k, ...]
        density: One share for all models, or one for each.
        at_least: Entries that stay in any case.

    Returns:
        In the form of `deltas`.
    """
    if isinstance(deltas, Traced):
        return cast("Tensor", _traced_largest(cast(Traced, deltas), density, at_least))
    flat = deltas.unsqueeze(-1).flatten(1)
    n_entries = flat.shape[1]
    kept = n_kept(density, len(deltas), n_entries, at_least)
    if min(kept) >= n_entries:
        return deltas
    rows = [
        values.where(_largest(size, n), 0.0)
        for values, size, n in zip(flat, _size(flat), kept, strict=True)
    ]
    return _stack(rows).reshape(deltas.shape)


def keep_random(deltas: Tensor, density: float | Tensor) -> Tensor:
    """Keep each entry with the probability `density`, as it is; NaN stays. [k, ...] -> [k, ...]"""
    return deltas * (noise.uniform_like(deltas) < density)


def rank_probability(deltas: Tensor, density: float | Tensor, spread: float | Tensor) -> Tensor:
    """How likely DELLA keeps an entry: the more, the larger it is within its row.

    `density - spread + 2 spread (rank - 1) / (n - 1)`, with the rank 1 of the smallest of n in
    magnitude; of equal magnitudes the earlier is smaller, and NaN counts as infinite. What a row
    is, `row_length` says.

    deltas: [k, ...] -> [k, ...]
    """
    if isinstance(deltas, Traced):
        traced = cast(Traced, deltas)
        width = traced.tape.row
        below = cast("Tensor", traced.apply("rank"))
    else:
        width = row_length(tuple(deltas.shape[1:]))
        rows = _size(deltas).reshape(len(deltas), -1, max(width, 1))
        order = rows.argsort(dim=-1, stable=True)
        below = order.argsort(dim=-1).to(deltas.dtype).reshape(deltas.shape)
    if width < 2:
        return below * 0.0 + density
    return below * (2 * spread / (width - 1)) + (density - spread)


def same_mass(kept: Tensor, deltas: Tensor) -> Tensor:
    """Scale what was kept of each model to the sum of magnitudes that there was before.

    Left as it is where either sum is next to nothing. [k, ...], [k, ...] -> [k, ...]
    """
    before, after = statistics.totals(deltas.abs(), kept.abs())
    usable = (before >= NO_MASS) & (after >= NO_MASS)
    factor = (before / after.where(usable, 1.0)).where(usable, 1.0)
    return kept * statistics.column(factor, kept)


def row_length(shape: tuple[int, ...]) -> int:
    """How many neighbouring entries of a tensor are one row: what one output unit reads.

    The last axis of a matrix or of a stack of matrices; of a convolution's kernel, whose last axes
    are short, all but the first; a vector is one row.
    """
    if len(shape) <= 2:
        return math.prod(shape[-1:])
    return shape[-1] if shape[-1] >= SHORT_ROW else math.prod(shape[1:])


def n_kept(density: Any, k: int, n_entries: int, at_least: int) -> tuple[int, ...]:
    """How many entries of each model stay, for one density or one of each."""
    shares = density.flatten().tolist() if hasattr(density, "flatten") else [density]
    return tuple(
        max(math.floor(share * n_entries + 0.5), at_least if share > 0 else 0)
        for share in (shares if len(shares) == k else shares * k)
    )


def _traced_largest(deltas: Traced, density: Any, at_least: int) -> Traced:
    tape = deltas.tape
    kept = n_kept(density, tape.k if deltas.per_model else 1, tape.n, at_least)
    if min(kept) >= tape.n:
        return deltas
    cuts = deltas.ask("cuts", n_kept=kept)
    slot, own = tape.add_ints(cuts), deltas.per_model
    stays = tape.put("largest", deltas.step, slot=slot, per_model=own, key=cuts.tobytes())
    return deltas.where(Traced(tape, stays), 0.0)


def _size(values: Tensor) -> Tensor:
    """Magnitudes, by which entries are ordered; that of NaN is infinite."""
    return values.detach().abs().nan_to_num(nan=math.inf, posinf=math.inf)


def _largest(size: Tensor, n: int) -> Tensor:
    """Which of one model's entries are its n largest."""
    if n >= len(size):
        return size == size
    if n == 0:
        return size != size
    cut = size.topk(n, sorted=False).values.amin()
    above, draws = size > cut, size == cut
    return above | (draws & (draws.cumsum(0) <= n - above.sum()))


def _stack(rows: list[Tensor]) -> Tensor:
    import torch

    return torch.stack(rows)
