"""The mean of what several modules put out: what a merge is held against, at k times the cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from alnico.errors import IncompatibleModelsError


class Ensemble(nn.Module):
    """A module that averages the outputs of others.

    Their outputs are tensors, or tuples, lists or mappings of some. Whatever else is in there, such
    as None, is taken from the first module.

    Args:
        modules: The members; they are not copied.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(modules)
        self.training = all(module.training for module in modules)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Give the mean of the members' outputs, in the form of the first one's.

        Raises:
            IncompatibleModelsError: If outputs have no mean: integers, or tensors of other shapes.
        """
        outputs = [member(*inputs, **named) for member in self.members]
        return tree_map(_mean, *outputs)


def _mean(*outputs: object) -> object:
    """The mean of one part of the outputs of all members. k x [...] -> [...]"""
    tensors = [output for output in outputs if isinstance(output, torch.Tensor)]
    if not tensors:
        return outputs[0]
    shapes = {(tuple(tensor.shape), tensor.dtype) for tensor in tensors}
    if len(tensors) < len(outputs) or len(shapes) > 1 or not tensors[0].is_floating_point():
        forms = ", ".join(sorted(f"{list(shape)} {dtype}" for shape, dtype in shapes))
        raise IncompatibleModelsError(
            f"outputs of the models have no mean: {forms}",
            help="let the models give floating-point outputs of one shape, or ask for no ensemble",
        )
    return torch.stack(tensors).mean(0)
