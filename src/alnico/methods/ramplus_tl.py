"""RAM+: as RAM, but what one model alone has changed is amplified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alnico.methods._method import Positive, method
from alnico.tensors import statistics

if TYPE_CHECKING:
    from torch import Tensor


@method(paper="https://arxiv.org/abs/2601.13572", symmetric=True, idempotent=True)
def ramplus_tl(
    deltas: Tensor, r: Positive = 0.1, alpha: Positive = 0.2, epsilon: Positive = 1e-5
) -> Tensor:
    """Average what several changed, amplify what only one did.

    A change is above `epsilon` in magnitude. Averaging dilutes the models that share many entries
    with others, so the entries that they alone changed are multiplied by a factor.

    deltas: [k, ...] -> [...]; the mean of the changes where several changed, and else
    `(1 + r clamp(shared_i / unique_i, 0, alpha)) delta_i`, with the counts of model i's changes
    that others have changed too, and that none has
    """
    changed = deltas.abs() > epsilon
    n_changed = changed.sum(0)
    alone = changed & (n_changed == 1)
    everything, unique = statistics.totals(changed, alone)
    factor = 1.0 + r * ((everything - unique) / unique.clamp(min=epsilon)).clamp(min=0.0, max=alpha)
    amplified = statistics.column(factor, deltas).where(alone, 1.0)
    return statistics.add(deltas * changed * amplified) / n_changed.clamp(min=1)
