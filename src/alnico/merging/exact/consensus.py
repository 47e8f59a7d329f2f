"""Which entries of the models' changes have the sign of their sum, as mergekit votes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def agreeing(deltas: Tensor, *, int8_mask: bool) -> Tensor:
    """Whether an entry has the sign of the sum over models; a sum of 0 counts as positive.

    A zero agrees with no sign. NaN has the sign 0 as an int8, and none as a float.

    deltas: [k, ...] -> [k, ...], booleans
    """
    import torch

    dtype = torch.int8 if int8_mask else deltas.dtype
    majority = (deltas.sum(0) >= 0).to(dtype) * 2 - 1
    return deltas.sign().to(dtype) == majority
