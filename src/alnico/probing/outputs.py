"""What a network says of rows: its output, and its features, what one of its layers holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alnico.errors import IncompatibleModelsError, UnknownNameError
from alnico.registry import suggest
from alnico.types import Batch


@dataclass(frozen=True)
class Outputs:
    """What one network says of some rows.

    Args:
        logits: Its output. [n, c]
        features: The input of the linear layer that ran last, of width 0 if none did; or the output
            of the layer that was asked for. [n, w]
    """

    logits: Tensor
    features: Tensor


def tap(module: nn.Module, inputs: Batch, layer: str | None = None) -> Outputs:
    """Run a module once and keep its features beside its output; gradients flow as usual.

    Args:
        module: Any network whose output is [n, c].
        inputs: One batch.
        layer: The dotted name of the layer whose last output is kept, laid flat behind its first
            axis. None keeps what goes into the linear layer that runs last.

    Raises:
        UnknownNameError: If the module has no such layer.
        IncompatibleModelsError: If the layer did not run, or gives anything but a tensor with one
            entry a row; or if the module gives anything but a tensor.
    """
    held: list[object] = []

    def keep_input(_: nn.Module, args: tuple[object, ...]) -> None:
        held[:] = args

    def keep_output(_: nn.Module, args: object, output: object) -> None:
        held[:] = [output]

    if layer is None:
        linear = [part for part in module.modules() if isinstance(part, nn.Linear)]
        handles = [part.register_forward_pre_hook(keep_input) for part in linear]
    else:
        handles = [find_layer(module, layer).register_forward_hook(keep_output)]
    try:
        logits = module(inputs)
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(logits, Tensor):
        raise IncompatibleModelsError(
            f"{type(module).__name__} gives a {type(logits).__name__}, not a tensor [n, c]",
            help="wrap it in a module that returns its logits alone",
        )
    if layer is not None:
        return Outputs(logits, _flat(held, layer, logits))
    last = held[0] if held else None
    features = last.flatten(1) if isinstance(last, Tensor) else logits.new_zeros(len(logits), 0)
    return Outputs(logits, features)


def find_layer(module: nn.Module, name: str) -> nn.Module:
    """The layer of that dotted name.

    Raises:
        UnknownNameError: If the module has none.
    """
    everything: Iterable[tuple[str, nn.Module]] = module.named_modules(remove_duplicate=False)
    layers = {known: layer for known, layer in everything if known}
    if name not in layers:
        raise UnknownNameError(
            f"{type(module).__name__} has no layer {name!r}",
            help=suggest(name, layers, all_of_them="its layers are"),
        )
    return layers[name]


def _flat(held: list[object], layer: str, logits: Tensor) -> Tensor:
    """[n, ...] -> [n, w]"""
    if not held:
        raise IncompatibleModelsError(
            f"the layer {layer!r} did not run on these inputs",
            help="name a layer that every row goes through",
        )
    features = held[0]
    if not isinstance(features, Tensor):
        raise IncompatibleModelsError(
            f"the layer {layer!r} gives a {type(features).__name__}, not a tensor",
            help="name a layer behind it that gives one tensor",
        )
    if features.dim() == 0 or len(features) != len(logits):
        raise IncompatibleModelsError(
            f"the layer {layer!r} gives {list(features.shape)} for {len(logits)} rows",
            help="name a layer whose output has one entry a row",
        )
    return features.unsqueeze(1) if features.dim() == 1 else features.flatten(1)


@torch.no_grad()
def read_outputs(
    module: nn.Module, inputs: Batch, *, batch_size: int = 2_048, layer: str | None = None
) -> Outputs:
    """Run a module over all rows in evaluation mode, without gradients; its modes are put back.

    Args:
        module: Any network whose output is [n, c].
        inputs: All rows.
        batch_size: Rows at a time; equal results need an equal batch size.
        layer: As in `tap`.

    Raises:
        UnknownNameError: As in `tap`.
        IncompatibleModelsError: As in `tap`.
    """
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        found = [tap(module, part, layer) for part in _parts(inputs, batch_size)]
    finally:
        for part in training:
            part.training = True
    return Outputs(
        torch.cat([part.logits for part in found]), torch.cat([part.features for part in found])
    )


def _parts(inputs: Batch, size: int) -> list[Batch]:
    if isinstance(inputs, Mapping):
        names = list(inputs)
        chunks = zip(*(inputs[name].split(size) for name in names), strict=True)
        return [dict(zip(names, chunk, strict=True)) for chunk in chunks]
    return list(inputs.split(size))
