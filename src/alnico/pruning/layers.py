"""Layers that units can be taken out of: where their units lie, and cutting them down in place."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn

Weighted: TypeAlias = nn.Linear | nn.Conv1d | nn.Conv2d
Embedded: TypeAlias = nn.Embedding | nn.EmbeddingBag
Norm: TypeAlias = nn.BatchNorm1d | nn.BatchNorm2d
Sized: TypeAlias = Weighted | Embedded | Norm

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d)
EMBEDDED = (nn.Embedding, nn.EmbeddingBag)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
SIZED = (*WEIGHTED, *EMBEDDED, *NORMS)
"""Layers whose tensors may become smaller; a subclass may compute anything, so these very types."""


def n_units(layer: Weighted | Embedded) -> int:
    """How many units a layer makes."""
    return len(layer.weight) if isinstance(layer, WEIGHTED) else layer.embedding_dim


def weighted(module: nn.Module, name: str) -> Weighted:
    """The layer of that name, which has weights from inputs to outputs."""
    layer = module.get_submodule(name)
    assert isinstance(layer, WEIGHTED)
    return layer


def column_axis(layer: Weighted) -> int:
    """The axis of a layer's inputs that the second axis of its weights counts."""
    return -1 if isinstance(layer, nn.Linear) else 1


def weight_by_column(layer: Weighted) -> Tensor:
    """The weights that each input column goes out by. -> [columns, out, places of the kernel]"""
    weight = layer.weight.detach()
    return weight.reshape(*weight.shape[:2], -1).movedim(1, 0)


def keep_units_(layer: Weighted | Embedded | Norm, kept: Tensor) -> None:
    """Keep these units of what a layer makes, or of what a norm passes on; int64 indices."""
    if isinstance(layer, EMBEDDED):
        _keep_(layer, "weight", 1, kept)
    else:
        for name in ("weight", "bias", "running_mean", "running_var"):
            _keep_(layer, name, 0, kept)
    set_sizes_(layer)


def keep_columns_(layer: Weighted, kept: Tensor, offset: Tensor) -> None:
    """Keep these input columns; what the others gave on average goes into the bias.

    Args:
        layer: Gets a bias if it has none.
        kept: Columns, int64.
        offset: The mean of what the others gave. [out]
    """
    _keep_(layer, "weight", 1, kept)
    offset = offset.to(layer.weight)
    if layer.bias is None:
        layer.bias = nn.Parameter(offset, requires_grad=layer.weight.requires_grad)
    else:
        moved = layer.bias.detach() + offset
        layer.bias = nn.Parameter(moved, requires_grad=layer.bias.requires_grad)
    set_sizes_(layer)


def set_sizes_(layer: Sized) -> None:
    """Let a layer's sizes say what its tensors are."""
    match layer:
        case nn.Linear():
            layer.out_features, layer.in_features = layer.weight.shape
        case nn.Conv1d() | nn.Conv2d():
            layer.out_channels, layer.in_channels = layer.weight.shape[:2]
        case nn.Embedding() | nn.EmbeddingBag():
            layer.num_embeddings, layer.embedding_dim = layer.weight.shape
        case _:
            found = [t for t in (layer.weight, layer.running_mean) if t is not None]
            layer.num_features = len(found[0]) if found else layer.num_features


def _keep_(layer: nn.Module, name: str, axis: int, kept: Tensor) -> None:
    whole = getattr(layer, name, None)
    if whole is not None:
        replace_(layer, name, torch.index_select(whole.detach(), axis, kept.to(whole.device)))


def replace_(layer: nn.Module, name: str, tensor: Tensor) -> None:
    """Put a tensor in the place of a layer's parameter or buffer."""
    before = getattr(layer, name)
    if isinstance(before, nn.Parameter):
        tensor = nn.Parameter(tensor, requires_grad=before.requires_grad)
    setattr(layer, name, tensor)
