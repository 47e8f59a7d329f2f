"""The order in which tensors draw random numbers, and the seed that comes before the first."""

from __future__ import annotations

from collections.abc import Iterable


def seed_all(seed: int) -> None:
    """Seed torch's global generators, of every device, as mergekit does before a merge."""
    import torch

    torch.manual_seed(seed)


def order_key(names: Iterable[str]) -> str:
    """What tensors of the output are sorted by before they are merged, as mergekit does.

    "layers.10" comes before "layers.2". Tensors of equal keys, as of a layer that is stacked twice,
    stay in the order of the output.

    Args:
        names: What the tensor is called in each model that it is made of, its base among them.
    """
    return max(names)
