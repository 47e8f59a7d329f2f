"""The methods that go from model to model along the surface of a sphere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alnico.errors import IncompatibleModelsError
from alnico.merging.exact.inputs import Parameters, Tensors, counted, flag, number, numbers

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 1 << 20
"""How many entries `slerp` sums at a time."""
NO_LENGTH = 1e-8
"""A tensor of this length or less has no direction for `slerp`."""
STRAIGHT = 0.9995
"""Directions whose cosine is beyond this are joined by a straight line in `slerp`."""


def slerp(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """Go the share `t` of the way from the first tensor to the second along an arc, in float32.

    The first is the base model's; the tensors keep their lengths. float64 stays as it is.

    Returns:
        [...]
    """
    import torch

    del base
    first = counted("slerp", tensors, 2, 2)[0]
    dtype = torch.promote_types(first.dtype, torch.float32)
    a, b = (x.reshape(-1).to(dtype) for x in tensors)
    length_a, length_b = _length(a), _length(b)
    pairs = zip(a.split(CHUNK), b.split(CHUNK), strict=True)
    products = [(x / length_a).mul_(y / length_b).sum() for x, y in pairs]
    cosine = torch.stack(products).sum().clamp(-1, 1)
    t = a.new_tensor(number(parameters, "t"))
    if cosine.abs() > STRAIGHT:
        share_a, share_b = 1 - t, t
    else:
        angle = cosine.acos()
        share_a, share_b = (((x * angle).sin() / angle.sin()) for x in (1 - t, t))
    merged = (share_a * a).add_(share_b * b)
    return merged.to(first.dtype).reshape(first.shape)


def _length(flat: Tensor) -> Tensor:
    import torch

    length = torch.stack([chunk.norm() for chunk in flat.split(CHUNK)]).norm()
    return torch.where(length > NO_LENGTH, length, 1.0)


def nuslerp(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """Go from the first tensor to the second along an arc, as far as their weights say.

    With a base, the models' changes from it are joined. `nuslerp_flatten` takes a tensor for one
    vector; else each row along the last dimension is one, or along the first if
    `nuslerp_row_wise`.

    Returns:
        [...]
    """
    import torch

    shape = counted("nuslerp", tensors, 2, 2)[0].shape
    one, other = numbers(parameters, "weight", tensors)
    t = other / (one + other) if abs(one + other) >= 1e-6 else 0.5
    is_flat, by_first = flag(parameters, "nuslerp_flatten"), flag(parameters, "nuslerp_row_wise")
    swaps = by_first and not is_flat
    a, b = (x if base is None else x - base for x in tensors)
    if is_flat:
        a, b = a.reshape(-1), b.reshape(-1)
    elif swaps:
        a, b = a.transpose(0, -1), b.transpose(0, -1)
    unit_a, unit_b = (x / x.norm(dim=-1, keepdim=True).clamp(min=1e-7) for x in (a, b))
    cosine = (unit_a * unit_b).sum(-1, keepdim=True).clamp(-1, 1)
    angle = cosine.acos()
    arc = (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()
    merged = torch.where(1 - cosine * cosine <= 1e-16, (1 - t) * a + t * b, arc)
    merged = merged.transpose(0, -1) if swaps else merged.reshape(shape)
    return merged if base is None else base + merged


def multislerp(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """Join directions on the sphere's tangent plane at their weighted mean; lengths are averaged.

    With a base, the models' changes from it are joined; a single model is given back as it is.

    Returns:
        [...]

    Raises:
        IncompatibleModelsError: If the directions of more than two models cancel each other.
    """
    import torch

    first = counted("multislerp", tensors, 1)[0]
    if len(tensors) == 1:
        return first
    vectors = torch.stack([x.reshape(-1) for x in tensors])
    if base is not None:
        vectors -= base.reshape(-1)
    weight = vectors.new_tensor(numbers(parameters, "weight", tensors))
    if flag(parameters, "normalize_weights"):
        weight = weight / weight.sum()
    weight = weight[:, None]
    merged = _join_on_tangent(vectors, weight, number(parameters, "eps")).reshape(first.shape)
    return merged if base is None else merged + base


def _join_on_tangent(vectors: Tensor, weight: Tensor, eps: float) -> Tensor:
    """vectors: [k, n], weight: [k, 1] -> [n]"""
    length = vectors.norm(dim=-1, keepdim=True)
    units = vectors / (length + eps)
    mean = (units * weight).sum(0)
    size = mean.norm()
    if size < eps:
        if len(vectors) == 2:
            return vectors[0] * weight[0] + vectors[1] * weight[1]
        raise IncompatibleModelsError(
            "the weighted directions of the models cancel each other, there is no mean direction",
            help="change the weights, or merge this tensor by linear",
        )
    mean = mean / size
    along = (units * mean).sum(-1, keepdim=True)
    tangent = (units - along * mean).mul_(weight).sum(0)
    angle = tangent.norm() + eps
    merged: Tensor = (mean * angle.cos() + tangent * (angle.sin() / angle)) * (
        weight * length
    ).sum()
    return merged


def karcher(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """Find the mean direction on the sphere step by step; the mean length is of all tensors.

    Tensors no longer than `tol` have no direction. A base is one more of `tensors`.

    Returns:
        [...]
    """
    import torch

    del base
    first, n_tensors = counted("karcher", tensors, 1)[0], len(tensors)
    if n_tensors == 1:
        return first
    tol = number(parameters, "tol")
    lengths = [_norm(x) for x in tensors]
    pairs = zip(tensors, lengths, strict=True)
    units = [_over(x, length) for x, length in pairs if length.item() > tol]
    if not units:
        return sum((x * 0 for x in tensors), torch.zeros_like(first))
    mean = _karcher_mean(units, int(number(parameters, "max_iter")), tol)
    length = sum((x * (1 / n_tensors) for x in lengths), torch.zeros_like(lengths[0]))
    return (mean * length.to(mean.dtype)).to(first.dtype)


def _karcher_mean(units: list[Tensor], max_iter: int, tol: float) -> Tensor:
    """The unit vector that the others' directions from it cancel at. k of [...] -> [...]"""
    import torch

    share = 1 / len(units)
    share /= sum([share] * len(units))  # six times 1/6 is not 1 in floating point
    mean = sum((share * unit for unit in units), torch.zeros_like(units[0]))
    size = _norm(mean)
    mean = units[0] if size < tol else _over(mean, size)
    for _ in range(max_iter):
        tangent = torch.zeros_like(mean)
        for unit in units:
            cosine = torch.dot(mean.reshape(-1), unit.reshape(-1)).clamp(-1, 1)
            angle = cosine.acos()
            if not angle.item() < tol:  # NaN goes on
                tangent += (unit - cosine * mean).mul_(share * (angle / angle.sin()))
        size = _norm(tangent)
        if size < tol:
            break
        mean = size.cos() * mean + size.sin() * (tangent / size)
        mean = _over(mean, _norm(mean)).to(units[0].dtype)
    return mean


def _norm(x: Tensor) -> Tensor:
    import torch

    length: Tensor = x.to(torch.promote_types(x.dtype, torch.float32)).norm()
    return length


def _over(x: Tensor, length: Tensor) -> Tensor:
    return x.div(length).to(x.dtype)
