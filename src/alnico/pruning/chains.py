"""Chains of layers inside of which whole hidden units can be removed, found by running a module."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alnico.pruning.layers import EMBEDDED, NORMS, WEIGHTED
from alnico.pruning.trace import Call, Trace, trace
from alnico.types import Batch

Form: TypeAlias = Literal["last", "channel", "flat"]
"""Where the units are: on the last axis, on axis 1 of images, or that laid flat unit by unit."""


@dataclass(frozen=True)
class Chain:
    """A layer whose units go through layers that treat each by itself, into others.

    Args:
        producer: The name of the layer that makes the units.
        norms: Batch norms on the way.
        consumers: The layers that read them; nothing else does.
    """

    producer: str
    norms: tuple[str, ...]
    consumers: tuple[str, ...]


def find_chains(module: nn.Module, example: Batch) -> list[Chain]:
    """All chains of a module in evaluation mode, in the order in which they run.

    A layer that is called twice, or has a weight that is used elsewhere too, is in none.

    Args:
        module: Any.
        example: A few rows; the way that they take is the one that is looked at.
    """
    with torch.no_grad():
        found = trace(module, example, KNOWN)
    search = _Search(module, found)
    return [chain for call in found.calls if (chain := search.chain(call)) is not None]


class _Search:
    """Follows tensors through a trace."""

    def __init__(self, module: nn.Module, found: Trace) -> None:
        self._trace = found
        self._names = {id(layer): name for name, layer in module.named_modules()}
        own = [list(layer.parameters(recurse=False)) for layer in module.modules()]
        self._owners = Counter(id(parameter) for some in own for parameter in some)

    def chain(self, call: Call) -> Chain | None:
        """The chain that a call begins; None if it begins none."""
        layer, units = call.made_by, call.output
        if not isinstance(layer, WEIGHTED + EMBEDDED) or not isinstance(units, Tensor):
            return None
        if not self._is_alone(layer) or not _has_units_apart(layer, units):
            return None
        norms: list[str] = []
        consumers: list[str] = []
        form: Form = "channel" if isinstance(layer, nn.Conv1d | nn.Conv2d) else "last"
        if not self._follow(units, form, norms, consumers):
            return None
        return Chain(self._names[id(layer)], tuple(norms), tuple(consumers))

    def _follow(self, units: Tensor, form: Form, norms: list[str], consumers: list[str]) -> bool:
        """Collect what reads these units; False if anything mixes them that is not a consumer."""
        goes_on = False
        for use in self._trace.uses(units):
            made_by, output = use.made_by, use.output
            if isinstance(made_by, nn.Module) and _reads(use, form) and self._is_alone(made_by):
                consumers.append(self._names[id(made_by)])
                goes_on = True
                continue
            then = _form_behind(use, units, form)
            if then is None or not isinstance(output, Tensor):
                return False
            if isinstance(made_by, NORMS):
                if not self._is_alone(made_by):
                    return False
                norms.append(self._names[id(made_by)])
            if output is units:  # in place, or nothing done: what reads it is among these uses
                continue
            if not self._follow(output, then, norms, consumers):
                return False
            goes_on = True
        return goes_on

    def _is_alone(self, layer: nn.Module) -> bool:
        """Whether a layer is called once and nobody else uses its weights."""
        own = list(layer.parameters(recurse=False))
        is_own = all(self._owners[id(p)] == 1 and not self._trace.uses(p) for p in own)
        return is_own and len(self._trace.made_by(layer)) == 1


def _has_units_apart(layer: nn.Module, units: Tensor) -> bool:
    """Whether each unit depends on weights of its own alone, and lies where it is looked for."""
    if not isinstance(layer._parameters.get("weight"), nn.Parameter):
        return False  # computed from others, as weight norm does
    if isinstance(layer, EMBEDDED):
        return layer.max_norm is None
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        return layer.groups == 1 and units.dim() == layer.weight.dim()
    return True


def _reads(use: Call, form: Form) -> bool:
    """Whether a layer with weights reads units that lie so, each by weights of its own."""
    layer = use.made_by
    if not isinstance(layer, WEIGHTED) or use.keywords:  # hooks see no named arguments
        return False
    if not isinstance(layer._parameters.get("weight"), nn.Parameter):
        return False
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        return form == "channel" and layer.groups == 1
    return form != "channel"


def _form_behind(use: Call, units: Tensor, form: Form) -> Form | None:
    """Where the units are behind a call that treats each by itself; None if it does not."""
    made_by, output = use.made_by, use.output
    if not isinstance(output, Tensor) or len({id(t) for t in use.inputs}) != 1:
        return None
    kind: object = type(made_by) if isinstance(made_by, nn.Module) else made_by
    if kind in _ELEMENTWISE:
        return form
    if kind in NORMS:
        return form if form == "channel" or (form == "last" and units.dim() == 2) else None
    if kind in _POOLS:
        return form if form == "channel" else None
    if kind in _FLATTENS:
        if output is units:
            return form
        is_flat = output.dim() == 2 and len(output) == len(units)
        return "flat" if form == "channel" and is_flat else None
    return None


_ACTIVATIONS: tuple[type[nn.Module], ...] = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Softplus, nn.Softsign, nn.Hardtanh, nn.Hardswish),
    *(nn.Hardsigmoid, nn.Tanhshrink, nn.Softshrink, nn.Hardshrink, nn.Threshold, nn.Identity),
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout),
)
_POOLING: tuple[type[nn.Module], ...] = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d),
)
KNOWN = (*WEIGHTED, *EMBEDDED, *NORMS, *_ACTIVATIONS, *_POOLING, nn.Flatten)
"""Layers that are followed as one call each."""

_ELEMENTWISE: set[object] = {
    *_ACTIVATIONS,
    *(F.relu, F.leaky_relu, F.elu, F.selu, F.gelu, F.silu, F.mish, F.tanh, F.sigmoid, F.softplus),
    *(F.dropout, torch.relu, torch.tanh, torch.sigmoid),
    *(Tensor.relu, Tensor.tanh, Tensor.sigmoid),
}
_POOLS: set[object] = {
    *_POOLING,
    *(F.max_pool1d, F.max_pool2d, F.avg_pool1d, F.avg_pool2d),
    *(F.adaptive_avg_pool1d, F.adaptive_avg_pool2d),
    *(F.adaptive_max_pool1d, F.adaptive_max_pool2d),
}
_FLATTENS: set[object] = {nn.Flatten, torch.flatten, Tensor.flatten, Tensor.view, Tensor.reshape}
