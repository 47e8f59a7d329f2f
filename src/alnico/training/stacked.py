"""Read a plain network as a stack of k: every weight [k, ...], every activation [k, n, ...].

A network that is written over trailing axes alone (`dim=-1`, no `flatten(1)`) needs nothing else
than the few functions below to be read again; what is elementwise stacks by itself. Whether the
reading is right is not decided here: `ways` compares it with the members one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from alnico.types import Batch

AnyFunction: TypeAlias = Callable[..., Any]


class UnstackableError(Exception):
    """A network uses something that has no reading as a stack; never leaves this room."""


def call_stacked(template: nn.Module, tensors: Mapping[str, Tensor], inputs: Batch) -> Tensor:
    """The outputs of k members at once. [k, n, ...] -> [k, n, c]

    Args:
        template: A module of their architecture; its own weights are not read.
        tensors: Stacked weights and buffers, [k, ...], by name.
        inputs: The members' inputs, [k, n, ...].
    """
    with _Stacked():
        out: Tensor = functional_call(template, dict(tensors), (inputs,))
    return out


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear` of each member. [k, ..., in], [k, out, in], [k, out] -> [k, ..., out]"""
    if weight.dim() == 2 and (bias is None or bias.dim() == 1):
        return F.linear(input, weight, bias)
    k = len(input)
    weight = weight.expand(k, *weight.shape[-2:]).mT
    rows = input.reshape(k, -1, input.shape[-1])
    if bias is None:
        out = torch.bmm(rows, weight)
    else:
        out = torch.baddbmm(bias.expand(k, -1).unsqueeze(1), rows, weight)
    return out.view(*input.shape[:-1], out.shape[-1])


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """`F.embedding` of each member, as one lookup. [k, ...], [k, v, d] -> [k, ..., d]"""
    if weight.dim() == 2:
        return F.embedding(
            input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse
        )
    if max_norm is not None or scale_grad_by_freq or sparse:
        raise UnstackableError("an embedding with max_norm, scale_grad_by_freq or sparse")
    found = F.embedding(_offset(input, weight), weight.flatten(0, 1))
    if padding_idx is None:
        return found
    padding = (input == padding_idx % weight.shape[1]).unsqueeze(-1)
    return torch.where(padding, found.detach(), found)  # padding learns nothing


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """`F.embedding_bag` of each member, as one. [k, n, length], [k, v, d] -> [k, n, d]"""
    plain = offsets is None and max_norm is None and not (scale_grad_by_freq or sparse)
    if weight.dim() == 2 or input.dim() != 3 or not plain or padding_idx is not None:
        raise UnstackableError("an embedding bag with more than ids, weights and a mode")
    flat = None if per_sample_weights is None else per_sample_weights.flatten(0, 1)
    bags = _offset(input, weight).flatten(0, 1)
    found = F.embedding_bag(bags, weight.flatten(0, 1), mode=mode, per_sample_weights=flat)
    return found.view(*input.shape[:2], -1)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """`F.layer_norm` of each member. [k, ..., d], [k, d] -> [k, ..., d]"""
    shape = list(normalized_shape)
    if weight is None or weight.dim() == len(shape):
        return F.layer_norm(input, shape, weight, bias, eps)
    out = F.layer_norm(input, shape, None, None, eps) * _leading(weight, input)
    return out if bias is None else out + _leading(bias, input)


def _refuse(*_: Any, **__: Any) -> Tensor:
    raise UnstackableError("dropout of whole channels")


_READINGS: dict[AnyFunction, AnyFunction] = {
    F.linear: linear,
    F.embedding: embedding,
    F.embedding_bag: embedding_bag,
    F.layer_norm: layer_norm,
    F.dropout1d: _refuse,
    F.dropout2d: _refuse,
    F.dropout3d: _refuse,
    F.feature_alpha_dropout: _refuse,
}


class _Stacked(TorchFunctionMode):
    """Inside, the functions of `_READINGS` are read as above."""

    def __torch_function__(
        self,
        func: AnyFunction,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return _READINGS.get(func, func)(*args, **(kwargs or {}))


def _offset(input: Tensor, weight: Tensor) -> Tensor:
    """Ids in the k tables laid under each other."""
    k, size, _ = weight.shape
    starts = torch.arange(0, k * size, size, device=input.device)
    return input + starts.view(k, *[1] * (input.dim() - 1))


def _leading(weight: Tensor, input: Tensor) -> Tensor:
    """[k, d] -> [k, 1, ..., d], with as many axes as `input`."""
    between = input.dim() - weight.dim()
    return weight.view(len(weight), *[1] * between, *weight.shape[1:])
