"""Members that are computed together, and their trainable weights as the rows of one tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from alnico.data.batches import map_batch
from alnico.training.records import Way
from alnico.training.stacked import call_stacked
from alnico.types import Batch


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training may change; tied ones once."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def flat_weights(module: nn.Module) -> Tensor:
    """A copy of the trainable weights in one row. -> [P]"""
    return torch.cat([p.detach().reshape(-1) for p in trainable(module).values()])


def write_(module: nn.Module, row: Tensor, buffers: Mapping[str, Tensor] | None = None) -> None:
    """Set a module's trainable weights to a row as `flat_weights` makes it, and its buffers."""
    parameters = trainable(module).values()
    with torch.no_grad():
        for p, piece in zip(parameters, row.split([p.numel() for p in parameters]), strict=True):
            p.copy_(piece.view_as(p))
        for name, value in (buffers or {}).items():
            owner, _, own_name = name.rpartition(".")
            old = module.get_buffer(name)
            setattr(module.get_submodule(owner), own_name, value.to(old.device, copy=True))


class Bundle:
    """Some members whose forward and backward passes are computed at once.

    Args:
        members: Their numbers, for whoever feeds them.
        modules: Their modules, of one architecture; owned, and changed by training in the `loop`.
        way: How they are computed; a `loop` bundle has one member.
    """

    def __init__(self, members: Sequence[int], modules: Sequence[nn.Module], way: Way) -> None:
        self.members = list(members)
        self.modules = list(modules)
        self.way: Way = way
        self.flat = torch.stack([flat_weights(module) for module in modules])
        self._bind()

    def _bind(self) -> None:
        """Make the leaves of the graph views of `flat`, and a place for its gradient."""
        first = trainable(self.modules[0])
        pieces = self.flat.split([p.numel() for p in first.values()], dim=1)
        self.grad = torch.zeros_like(self.flat)
        self._leaves: dict[str, Tensor] = {}
        for (name, parameter), piece in zip(first.items(), pieces, strict=True):
            if self.way == "loop":
                parameter.data = piece.view(parameter.shape)
                self._leaves[name] = parameter
            else:
                stacked = piece.view(len(self.flat), *parameter.shape)
                self._leaves[name] = stacked.detach().requires_grad_()
        self._fixed = {} if self.way == "loop" else differing(self.modules)

    def __len__(self) -> int:
        return len(self.members)

    def train(self, mode: bool) -> None:
        """Set training or evaluation mode."""
        self.modules[0].train(mode)  # the others are only read for their weights

    def forward(self, inputs: Batch) -> Tensor:
        """The members' outputs, each for its own rows. [k, n, ...] -> [k, n, c]"""
        template = self.modules[0]
        if self.way == "loop":
            out: Tensor = template(map_batch(lambda x: x[0], inputs))
            return out.unsqueeze(0)
        if self.way == "stacked":
            return call_stacked(template, {**self._leaves, **self._fixed}, inputs)

        def one(tensors: dict[str, Tensor], rows: Batch) -> Tensor:
            out: Tensor = functional_call(template, tensors, (rows,))
            return out

        every: Tensor = vmap(one, randomness="different")({**self._leaves, **self._fixed}, inputs)
        return every

    def backward(self, total: Tensor) -> None:
        """Put the gradient of `total`, the sum of the members' losses, into `grad`."""
        leaves = list(self._leaves.values())
        found = torch.autograd.grad(total, leaves, allow_unused=True)
        rows = len(self.flat)
        pieces = [
            (torch.zeros_like(leaf) if grad is None else grad).reshape(rows, -1)
            for leaf, grad in zip(leaves, found, strict=True)
        ]
        torch.cat(pieces, dim=1, out=self.grad)

    def buffers(self, row: int) -> dict[str, Tensor]:
        """Copies of the buffers of a member that training may have changed; only a `loop` may."""
        if self.way != "loop":
            return {}
        return {name: b.detach().clone() for name, b in self.modules[row].named_buffers()}

    def keep_(self, rows: Sequence[int]) -> None:
        """Go on with the members of these rows alone, at least one."""
        self.members = [self.members[row] for row in rows]
        self.modules = [self.modules[row] for row in rows]
        self.flat = self.flat[torch.tensor(rows, dtype=torch.int64, device=self.flat.device)]
        self._bind()


def differing(modules: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Frozen parameters and buffers that differ between members, by name, stacked. -> [k, ...]"""
    kept = {}
    for name, tensor in [*modules[0].named_parameters(), *modules[0].named_buffers()]:
        if name in trainable(modules[0]):
            continue
        others = [tensor_named(module, name) for module in modules]
        if not all(torch.equal(tensor, other) for other in others):
            kept[name] = torch.stack([other.detach() for other in others])
    return kept


def tensor_named(module: nn.Module, name: str) -> Tensor:
    """A parameter or buffer of a module, as `named_parameters` and `named_buffers` name it."""
    owner, _, own_name = name.rpartition(".")
    tensor: Tensor = getattr(module.get_submodule(owner), own_name)
    return tensor
