"""What a network says of rows: its output, and its features, the input of its last linear layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alnico.types import Batch


@dataclass(frozen=True)
class Outputs:
    """What one network says of some rows.

    Args:
        logits: Its output. [n, c]
        features: The input of its last linear layer; of width 0 if it has none. [n, w]
    """

    logits: Tensor
    features: Tensor


def tap(module: nn.Module, inputs: Batch) -> Outputs:
    """Run a module once and keep its features beside its output; gradients flow as usual.

    Args:
        module: Any network whose output is [n, c].
        inputs: One batch.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    seen: list[Tensor] = []
    if not layers:
        logits = module(inputs)
        return Outputs(logits, logits.new_zeros(len(logits), 0))
    handle = layers[-1].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    try:
        logits = module(inputs)
    finally:
        handle.remove()
    features = seen[-1] if seen else logits.new_zeros(len(logits), 0)
    return Outputs(logits, features.flatten(1))


@torch.no_grad()
def read_outputs(module: nn.Module, inputs: Batch, *, batch_size: int = 2_048) -> Outputs:
    """Run a module over all rows in evaluation mode, without gradients; its mode is put back.

    Args:
        module: Any network whose output is [n, c].
        inputs: All rows.
        batch_size: Rows at a time; equal results need an equal batch size.
    """
    was_training = module.training
    module.eval()
    try:
        found = [tap(module, part) for part in _parts(inputs, batch_size)]
    finally:
        module.train(was_training)
    return Outputs(
        torch.cat([part.logits for part in found]), torch.cat([part.features for part in found])
    )


def _parts(inputs: Batch, size: int) -> list[Batch]:
    if isinstance(inputs, Mapping):
        names = list(inputs)
        chunks = zip(*(inputs[name].split(size) for name in names), strict=True)
        return [dict(zip(names, chunk, strict=True)) for chunk in chunks]
    return list(inputs.split(size))
