"""Whether a way of computing members together reproduces them one by one.

Any module is safe here: a way passes if it gives, on a first batch and with weights moved off their
start, the members' own outputs and gradients, in training and in evaluation mode.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from alnico.data.batches import map_batch
from alnico.training.bundle import Bundle, trainable
from alnico.training.learner import drawing_from
from alnico.training.records import Way
from alnico.types import Batch


def same_architecture(modules: Sequence[nn.Module]) -> bool:
    """Whether modules are made alike: same layers with same options, same names and shapes."""

    def make(module: nn.Module) -> tuple[object, ...]:
        tensors = [*module.named_parameters(), *module.named_buffers()]
        shapes = [(name, t.shape, t.dtype, t.requires_grad) for name, t in tensors]
        return (type(module), repr(module), shapes)

    return all(make(module) == make(modules[0]) for module in modules)


def obstacle(way: Way, modules: Sequence[nn.Module], inputs: Batch) -> str | None:
    """Why `way` does not reproduce the members on `inputs` [k, n, ...]; None if it does."""
    members = [_moved(module, seed) for seed, module in enumerate(modules)]
    place = next(members[0].parameters()).device
    try:
        with warnings.catch_warnings(), drawing_from(0, place), _DropoutScales():
            # vmap warns where it falls back to a slow loop of its own
            warnings.filterwarnings("error", message="There is a performance drop")
            for mode in (False, True):
                before = [dict(copy.deepcopy(m).named_buffers()) for m in members]
                found = _disagreement(Bundle(range(len(members)), members, way), mode, inputs)
                if found is not None:
                    return found
                if _changed(members, before):
                    return "its buffers change while it trains"
    except Exception as error:  # the module's code may fail in any way where it is read otherwise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return lines[0][:100]
    return None


def _disagreement(bundle: Bundle, mode: bool, inputs: Batch) -> str | None:
    """Compare outputs and gradients with those of the members one by one."""
    outputs, grads = [], []
    for row, module in enumerate(bundle.modules):
        module.train(mode)
        output = module(map_batch(itemgetter(row), inputs))
        wanted = list(trainable(module).values())
        found = torch.autograd.grad(output.square().mean(), wanted, allow_unused=True)
        whole = [
            torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found, strict=True)
        ]
        outputs.append(output.detach())
        grads.append(torch.cat([g.reshape(-1) for g in whole]))
    together = bundle.forward(inputs)
    alone = torch.stack(outputs)
    if together.shape != alone.shape or not torch.allclose(together, alone, rtol=1e-4, atol=1e-4):
        return "its outputs come out otherwise"
    bundle.backward(together.square().flatten(1).mean(1).sum())
    apart = (bundle.grad - torch.stack(grads)).norm(dim=1)
    if not bool((apart <= 1e-3 * torch.stack(grads).norm(dim=1) + 1e-6).all()):
        return "its gradients come out otherwise"
    return None


def _moved(module: nn.Module, seed: int) -> nn.Module:
    """A copy with weights in general position: at ones and zeros a wrong reading can look right."""
    moved = copy.deepcopy(module)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in trainable(moved).values():
            noise = torch.empty(p.shape, dtype=torch.float32).normal_(0, 0.05, generator=generator)
            p.add_(noise.to(p))
    return moved


def _changed(modules: Sequence[nn.Module], before: Sequence[Mapping[str, Tensor]]) -> bool:
    return any(
        not torch.equal(tensor, old[name])
        for module, old in zip(modules, before, strict=True)
        for name, tensor in module.named_buffers()
    )


class _DropoutScales(TorchFunctionMode):
    """Inside, dropout multiplies by 1 - p: comparable, and two that differ in p still differ."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in (F.dropout, F.alpha_dropout):
            return _scaled(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _scaled(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    return input * (1 - p) if training else input
