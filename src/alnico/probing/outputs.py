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
        features: The input of the linear layer that ran last; of width 0 if none did. [n, w]
    """

    logits: Tensor
    features: Tensor


def tap(module: nn.Module, inputs: Batch) -> Outputs:
    """Run a module once and keep its features beside its output; gradients flow as usual.

    Args:
        module: Any network whose output is [n, c].
        inputs: One batch.
    """
    last: list[Tensor] = []

    def remember(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        last[:] = args

    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    handles = [layer.register_forward_pre_hook(remember) for layer in layers]
    try:
        logits = module(inputs)
    finally:
        for handle in handles:
            handle.remove()
    features = last[0].flatten(1) if last else logits.new_zeros(len(logits), 0)
    return Outputs(logits, features)


@torch.no_grad()
def read_outputs(module: nn.Module, inputs: Batch, *, batch_size: int = 2_048) -> Outputs:
    """Run a module over all rows in evaluation mode, without gradients; its modes are put back.

    Args:
        module: Any network whose output is [n, c].
        inputs: All rows.
        batch_size: Rows at a time; equal results need an equal batch size.
    """
    training = [layer for layer in module.modules() if layer.training]
    module.eval()
    try:
        found = [tap(module, part) for part in _parts(inputs, batch_size)]
    finally:
        for layer in training:
            layer.training = True
    return Outputs(
        torch.cat([part.logits for part in found]), torch.cat([part.features for part in found])
    )


def _parts(inputs: Batch, size: int) -> list[Batch]:
    if isinstance(inputs, Mapping):
        names = list(inputs)
        chunks = zip(*(inputs[name].split(size) for name in names), strict=True)
        return [dict(zip(names, chunk, strict=True)) for chunk in chunks]
    return list(inputs.split(size))
