"""Which entries of each model's tensor stay; the others become 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def keep_largest(deltas: Tensor, density: float, *, at_least: int = 0) -> Tensor:
    """Keep the share `density` of each model's entries that is largest in magnitude.

    Of n entries `density * n` stay, rounded to the nearest whole number, a half up; and not fewer
    than `at_least` unless `density` is 0. Of equal magnitudes the earlier in row-major order stays.
    NaN counts as the largest of all: it is not hidden.

    deltas: [k, ...] -> [k, ...]
    """
    flat = deltas.unsqueeze(-1).flatten(1)
    n_entries = flat.shape[1]
    n_kept = max(int(density * n_entries + 0.5), at_least if density > 0 else 0)
    if n_kept >= n_entries:
        return deltas
    if n_kept == 0:
        return deltas.new_zeros(deltas.shape)
    size = flat.detach().abs().nan_to_num(nan=float("inf"), posinf=float("inf"))
    cut = size.topk(n_kept, dim=1, sorted=False).values.amin(1, keepdim=True)
    above, draws = size > cut, size == cut
    earlier = draws.cumsum(1) <= n_kept - above.sum(1, keepdim=True)
    return flat.where(above | (draws & earlier), 0.0).reshape(deltas.shape)
