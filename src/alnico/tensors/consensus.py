"""What models agree on, entry by entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def elect_sign(votes: Tensor) -> Tensor:
    """The sign with the larger total magnitude per entry, +1 on a draw. [k, ...] -> [...]"""
    total = votes.sum(0)
    return total.sign().where(total != 0, 1.0)


def disjoint_mean(votes: Tensor, sign: Tensor) -> Tensor:
    """The mean per entry over the models that have that sign there; 0 where none has.

    NaN in a model is NaN in the mean: it is not outvoted.

    votes: [k, ...], sign: [...], +1 or -1 -> [...]
    """
    agrees = votes.sign() == sign
    return (votes * agrees).sum(0) / agrees.sum(0).clamp(min=1)
