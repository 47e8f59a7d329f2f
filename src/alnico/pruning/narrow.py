"""Give a freshly built module the shapes of a pruned one, so that its state can be loaded."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from alnico.errors import IncompatibleModelsError
from alnico.pruning.layers import EMBEDDED, SIZED, WEIGHTED, replace_, set_sizes_
from alnico.types import StateDict

_SHOWN = 6


def narrow_(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Shrink a module's layers in place to the shapes of a state dict; its values are not read.

    Layers with weights may also get the bias that pruning gave them.

    Args:
        module: A module of the make that the pruned one had before.
        state: The state dict of the pruned one.

    Raises:
        IncompatibleModelsError: If the state is not one that pruning makes of such a module; the
            module then stays as it is.
    """
    everything = module.named_modules(remove_duplicate=False)
    layers = {name: layer for name, layer in everything if type(layer) in SIZED}
    own = module.state_dict()
    changed = {name for name, t in state.items() if name not in own or t.shape != own[name].shape}
    faults = [f"{name} is missing" for name in own if name not in state]
    faults += [found for name in sorted(changed) if (found := _fault(name, layers, own, state))]
    if faults:
        more = f"; ... {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise IncompatibleModelsError(
            f"the state is not that of a pruned {type(module).__name__}: "
            + "; ".join(faults[:_SHOWN])
            + more,
            help="build the module as it was before it was pruned",
        )
    for name in changed:
        layer, key = _owner(name, layers)
        assert layer is not None
        if name in own:
            corner = tuple(slice(n) for n in state[name].shape)
            replace_(layer, key, own[name].detach()[corner].clone())
        else:
            setattr(layer, key, nn.Parameter(torch.zeros_like(state[name])))
    for layer in layers.values():
        set_sizes_(layer)


def _owner(name: str, layers: Mapping[str, nn.Module]) -> tuple[nn.Module | None, str]:
    owner, _, key = name.rpartition(".")
    return layers.get(owner), key


def _fault(
    name: str, layers: Mapping[str, nn.Module], own: StateDict, state: Mapping[str, Tensor]
) -> str | None:
    """Why a tensor whose shape is another one, or that is new, cannot come from pruning."""
    layer, key = _owner(name, layers)
    shape = list(state[name].shape)
    if name not in own:
        gets_bias = key == "bias" and isinstance(layer, WEIGHTED) and layer.bias is None
        if not gets_bias:
            return f"{name} is no tensor of the module"
    else:
        before = list(own[name].shape)
        is_inside = len(shape) == len(before) and all(
            0 < a <= b for a, b in zip(shape, before, strict=True)
        )
        if layer is None or not is_inside:
            return f"{name} is {shape}, where the module has {before}"
    if not isinstance(layer, EMBEDDED):
        prefix = name.removesuffix(key)
        beside = [t for other, t in state.items() if other.rpartition(".")[0] + "." == prefix]
        if len({len(tensor) for tensor in beside if tensor.dim()}) > 1:
            return f"{name} is {shape}, which does not fit the layer's other tensors"
    return None
