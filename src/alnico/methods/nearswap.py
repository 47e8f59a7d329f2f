"""NearSwap: go from the base to a model, but in each entry no farther than a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alnico.methods._method import Positive, method

if TYPE_CHECKING:
    from torch import Tensor


@method(
    paper="https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001", models=1, symmetric=True
)
def nearswap(deltas: Tensor, t: Positive = 0.001) -> Tensor:
    """Take what is near the base whole, and of the rest a step.

    deltas: [1, ...] -> [...]; `delta clamp(t / |delta|, 0, 1)`, which is delta cut off at `t`
    """
    return deltas[0].clamp(min=-t, max=t)
