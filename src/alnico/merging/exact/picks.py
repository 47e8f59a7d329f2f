"""The methods that decide entry by entry which changes from the base count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alnico.errors import IncompatibleModelsError
from alnico.merging.exact.consensus import agreeing
from alnico.merging.exact.inputs import Parameters, Tensors, based, counted, flag, number

if TYPE_CHECKING:
    from torch import Tensor

SAMPLE = 1_000_000
"""How many entries `arcee_fusion` takes quartiles of, at most."""


def nearswap(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """Go to the other model where it is near: the share `t / |base - tensor|`, at most 1. [...]"""
    start = based("nearswap", base)
    (tensor,) = counted("nearswap", tensors, 1, 1)
    share = (number(parameters, "t") / (start - tensor).abs().clamp(min=1e-6)).clamp(0, 1)
    return share * tensor + (1 - share) * start


def sce(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """Select entries that vary between models, weight models by energy, erase minority signs.

    `select_topk` is the share of the entries with a variance that stays, of largest variance.

    Returns:
        [...]
    """
    import torch

    start = based("sce", base)
    if not tensors or not start.numel():
        return start
    changes = torch.stack([x - start for x in tensors])
    share = number(parameters, "select_topk")
    if share < 1:
        changes = changes * _most_varied(changes, share)
    energy = changes.square().reshape(len(changes), -1).mean(1)
    total = energy.sum()
    weight = torch.full_like(energy, 1 / len(energy)) if total < 1e-6 else energy / total
    weight = weight.reshape([-1] + [1] * start.ndim)
    counted_weight = weight * agreeing(changes, int8_mask=flag(parameters, "int8_mask"))
    return start + (changes * counted_weight).sum(0) / counted_weight.sum(0).clamp(min=1e-6)


def _most_varied(changes: Tensor, share: float) -> Tensor:
    """changes: [k, ...] -> [...], booleans"""
    import torch

    variance = changes.var(0, correction=0)
    n_kept = int(variance.count_nonzero().item() * share)
    is_kept = torch.zeros(variance.numel(), dtype=torch.bool, device=variance.device)
    is_kept[variance.flatten().topk(n_kept).indices] = True
    return is_kept.reshape(variance.shape)


def arcee_fusion(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """Take over the changes whose importance is far above the median: by 1.5 interquartile ranges.

    An entry's importance is its change times the divergence of its row's softmax. Quartiles of a
    large tensor are those of a sample that is drawn from torch's global generator.

    Returns:
        [...]; in float32 for a float16 or bfloat16 input, as mergekit's comes before it is cast.

    Raises:
        IncompatibleModelsError: If there are no entries to take quartiles of.
    """
    import torch

    del parameters
    start = based("arcee_fusion", base)
    (tensor,) = counted("arcee_fusion", tensors, 1, 1)
    if not tensor.numel():
        raise IncompatibleModelsError(
            "arcee_fusion takes quartiles, and a tensor has no entries",
            help="copy this tensor by passthrough",
        )
    p, q = tensor.softmax(-1) + 1e-8, start.softmax(-1) + 1e-8
    change = tensor - start
    importance = change.abs() * (p * (p / q).log()).sum(-1, keepdim=True)
    sample = importance.reshape(-1)
    if len(sample) > SAMPLE:
        sample = sample[torch.randint(0, len(sample), (SAMPLE,), device=sample.device)]
    ranked = sample.sort().values
    low, middle, high = (ranked[int(share * (len(ranked) - 1))] for share in (0.25, 0.5, 0.75))
    return start + change * (importance >= middle + 1.5 * (high - low)).float()


def ram(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """Add the changes above `epsilon`, each entry divided by how many models change it. [...]"""
    start = based("ram", base)
    if not tensors:
        return start
    changes, unique, shared, n_changed = _sort_out(tensors, start, number(parameters, "epsilon"))
    return start + (changes * unique + changes * shared / n_changed).sum(0)


def ramplus_tl(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """As `ram`, but entries that one model alone changes grow, if it shares many others.

    They grow by `1 + r * min(n_shared / n_unique, alpha)`.

    Returns:
        [...]; in float32 for a float16 or bfloat16 input, as mergekit's comes before it is cast.
    """
    import torch

    start = based("ramplus_tl", base)
    if not tensors:
        return start
    epsilon = number(parameters, "epsilon")
    changes, unique, shared, n_changed = _sort_out(tensors, start, epsilon)
    ratios = [
        own.sum() / mine.sum().clamp(min=epsilon) for own, mine in zip(shared, unique, strict=True)
    ]
    growth = torch.stack(ratios).clamp(0, number(parameters, "alpha"))
    factor = (1 + number(parameters, "r") * growth).reshape([-1] + [1] * start.ndim)
    return start + (changes * unique * factor + changes * shared / n_changed).sum(0)


def _sort_out(
    tensors: Tensors, base: Tensor, epsilon: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Changes, whether a model is alone or one of several to have one, and of how many at least 1.

    k of [...], [...] -> three of [k, ...] and [...]
    """
    import torch

    changes = torch.stack([x - base for x in tensors])
    is_changed = changes.abs() > epsilon
    n_changed = is_changed.sum(0)
    unique, shared = is_changed & (n_changed == 1), is_changed & (n_changed > 1)
    return changes, unique, shared, n_changed.clamp(min=1)
