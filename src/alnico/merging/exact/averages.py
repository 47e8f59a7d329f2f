"""The methods that stay on straight lines between models: a sum, one model, a mean and a base."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from alnico.merging.exact.inputs import Parameters, Tensors, based, counted, flag, numbers

if TYPE_CHECKING:
    from torch import Tensor

NO_NORM = 1e-6
"""A product of two lengths is taken for at least this, and a smaller divisor for none."""


def linear(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """Add up `weight_i * tensor_i` in float32, or float64; `normalize` divides by the weights' sum.

    A sum of 0 divides, too: the result is then infinite or NaN. A base is one more of `tensors`.

    Returns:
        [...]
    """
    import torch

    del base
    first = counted("linear", tensors, 1)[0]
    total = first.new_zeros(first.numel(), dtype=torch.promote_types(first.dtype, torch.float32))
    weights = total.new_tensor(numbers(parameters, "weight", tensors))
    for tensor, weight in zip(tensors, weights, strict=True):
        total.addcmul_(tensor.reshape(-1).to(total.dtype), weight)
    if flag(parameters, "normalize"):
        total /= weights.sum()
    return total.to(first.dtype).reshape(first.shape)


def passthrough(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """The one tensor, times `scale` if that is given and not None. [...]"""
    del base
    (tensor,) = counted("passthrough", tensors, 1, 1)
    if parameters.get("scale") in (None, [None]):
        return tensor
    return tensor * numbers(parameters, "scale", tensors)[0]


def model_stock(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """Go from the base to the models' mean, the further the more their changes point one way.

    With c the mean cosine of two models' changes, the share is `k c / (1 + (k - 1) c)`; of each
    row along the last dimension by itself if `filter_wise`.

    Returns:
        [...]
    """
    import torch

    start = based("model_stock", base)
    counted("model_stock", tensors, 2)
    shape = [-1]
    if flag(parameters, "filter_wise"):
        shape = [1, -1] if start.ndim < 2 else list(start.shape)
    start, rows = start.reshape(shape), [x.reshape(shape) for x in tensors]
    changes = [x - start for x in rows]
    lengths = [change.norm(dim=-1) for change in changes]
    cosines = []
    for i, j in combinations(range(len(rows)), 2):
        lengths_product = (lengths[i] * lengths[j]).clamp(min=NO_NORM)
        cosines.append(((changes[i] * changes[j]).sum(-1) / lengths_product).clamp(-1, 1))
    cosine = torch.stack(cosines).mean(0).unsqueeze(-1)
    divisor = 1 + (len(rows) - 1) * cosine
    share = (len(rows) * cosine / divisor).masked_fill(divisor.abs() < NO_NORM, 0)
    mean = sum(rows, torch.zeros_like(start)) / len(rows)
    return (share * mean + (1 - share) * start).reshape(tensors[0].shape)
