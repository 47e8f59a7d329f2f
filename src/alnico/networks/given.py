"""A network that the user brings, over the plain numbers of a table.

One that is a plain `nn.Sequential` of the layers below is described by names and numbers alone, so
that a run folder can hold it and no code is ever needed to read it back. Any other module works as
long as it is in memory.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from alnico.errors import RecipeError
from alnico.networks._architecture import Architecture, architectures
from alnico.types import Inputs

PLAIN: dict[str, tuple[str, ...]] = {
    "Linear": ("in_features", "out_features"),
    "BatchNorm1d": ("num_features", "eps"),
    "LayerNorm": ("normalized_shape", "eps"),
    "Dropout": ("p",),
    "ReLU": (),
    "GELU": ("approximate",),
    "SiLU": (),
    "ELU": ("alpha",),
    "LeakyReLU": ("negative_slope",),
    "Tanh": (),
    "Sigmoid": (),
    "Identity": (),
}
"""Layers that can be described, and their arguments that matter; a bias is seen in the weights."""


class Given(nn.Module):
    """A user's module: raw numbers in, outputs in the units of the fit out.

    Args:
        module: Maps float32 numbers [n, columns] to [n, c] logits, or values of a regression.
        center: What is taken off its outputs: 0, or the mean of a regression's target.
        scale: What they are divided by: 1, or the standard deviation of a regression's target.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, module: nn.Module, center: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("center", torch.tensor(center))
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """[n] rows -> [n, outputs]"""
        out: Tensor = (self.module(batch["raw"]) - self.center) / self.scale
        return out


def describe(module: nn.Module) -> str:
    """A plain sequential network in JSON; empty if it is anything else."""
    layers = _layers(module)
    return "" if layers is None else json.dumps(layers)


def _layers(module: nn.Module) -> list[list[Any]] | None:
    if type(module) is not nn.Sequential:
        return None
    found: list[list[Any]] = []
    for place, layer in module._modules.items():  # named_children() tells of a layer once only
        name = type(layer).__name__
        if layer is None or type(layer) is not getattr(nn, name, None) or name not in PLAIN:
            return None
        values = {argument: getattr(layer, argument) for argument in PLAIN[name]}
        if name == "Linear":
            values["bias"] = layer.bias is not None
        with torch.device("meta"):  # neither memory nor random numbers are used
            again = type(layer)(**values)
        # e.g. a norm that learns nothing has no tensors
        if again.state_dict().keys() != layer.state_dict().keys():
            return None
        found.append([place, name, values])
    return found


def _build(architecture: Architecture, inputs: Inputs, n_outputs: int) -> nn.Module:
    del inputs, n_outputs
    if not architecture.layers:
        raise RecipeError(
            "a network of a class of your own cannot be made anew from a run folder",
            help="use it in the process that has it, or build it as a plain nn.Sequential",
        )
    layers: dict[str, nn.Module] = {}
    for place, name, values in json.loads(architecture.layers):
        if name not in PLAIN or set(values) - {*PLAIN[name], "bias"}:
            raise RecipeError(
                f"a given network has a layer {name!r} that is not a plain one",
                help=f"plain ones are {', '.join(PLAIN)}",
            )
        layers[place] = getattr(nn, name)(**values)
    return Given(nn.Sequential(OrderedDict(layers)))


architectures.add("given", _build)
