from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from alnico.tensors.small import Small

VALUES = np.array([[1.5, -2.0], [0.0, np.nan]])


def pair() -> tuple[Small, torch.Tensor]:
    return Small(VALUES), torch.from_numpy(VALUES.copy())


def same(found: object, wanted: torch.Tensor) -> None:
    assert isinstance(found, Small)
    np.testing.assert_allclose(found.a, wanted.numpy(), rtol=1e-15)
    assert found.shape == tuple(wanted.shape) and found.ndim == wanted.ndim


@pytest.mark.parametrize(
    "name", ["abs", "acos", "cos", "exp", "isfinite", "log", "sign", "sin", "sqrt", "square"]
)
def test_a_function_of_each_number_is_torchs_and_says_no_warning(name: str) -> None:
    small, tensor = pair()
    same(getattr(small, name)(), getattr(tensor, name)())


@pytest.mark.parametrize("name", ["diagonal", "flatten", "mean", "sum", "max", "min"])
def test_what_is_said_of_all_is_torchs(name: str) -> None:
    small, tensor = pair()
    same(getattr(small, name)(), getattr(tensor, name)())


def test_operators_are_torchs_on_either_side() -> None:
    small, tensor = pair()
    for found, wanted in (
        (1 - small, 1 - tensor),
        (small + 1, tensor + 1),
        (2.0 * small, 2.0 * tensor),
        (small / 0.0, tensor / 0.0),
        (1.0 / small, 1.0 / tensor),
        (small @ small, tensor @ tensor),
        (-small, -tensor),
        (small >= 0, tensor >= 0),
        (small != small, tensor != tensor),
        ((small > 0) | (small < 0), (tensor > 0) | (tensor < 0)),
        (~(small > 0) & (small < 5), ~(tensor > 0) & (tensor < 5)),
        (small[0], tensor[0]),
        (small[..., None], tensor[..., None]),
        (small.mT, tensor.mT),
        (small.reshape(4), tensor.reshape(4)),
        (small.sum(0), tensor.sum(0)),
    ):
        same(found, wanted)


def test_limits_are_torchs_and_nan_stays() -> None:
    small, tensor = pair()
    same(small.clamp(min=-1.0, max=1.0), tensor.clamp(min=-1.0, max=1.0))
    same(small.clamp(min=0), tensor.clamp(min=0))
    same(small.maximum(Small(1.0)), tensor.maximum(torch.tensor(1.0)))
    same(small.minimum(0.5), tensor.minimum(torch.tensor(0.5)))


def test_a_choice_keeps_the_precision() -> None:
    small, tensor = Small(VALUES.astype(np.float32)), torch.from_numpy(VALUES).float()
    found = small.where(small > 0, 1.0)
    same(found, tensor.where(tensor > 0, 1.0))
    assert found.dtype == "float32" and found.double().dtype == "float64"
    assert found.double().float().dtype == found.to("float32").dtype == "float32"


def test_one_number_is_a_number_and_a_condition() -> None:
    one = Small([[0.25]])
    assert float(one) == one.item() == 0.25 and one.tolist() == [[0.25]] and one.numel() == 1
    assert bool(one == 0.25) and not bool((one > 1).any()) and bool((one < 1).all())
    assert len(Small([1, 2, 3])) == 3
    assert math.isnan(float(Small(0.0) / Small(0.0)))


def test_what_it_does_not_speak_is_named() -> None:
    with pytest.raises(AttributeError, match="a small value has no 'softmax' while a method"):
        Small(1.0).softmax(0)
