from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from alnico.tensors.small import Small
from alnico.tensors.tape import NotStreamableError

ODD = [0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 1e-40, 3e38, np.nan, np.inf, -np.inf]
STACK = np.array([ODD, ODD[::-1], [0.5 * x for x in ODD]], np.float32)

FORMULAS: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda x: (1.0 - x[0] * 3 + x[1]) / x[2] - 2 / x[1],
    "minus": lambda x: -x[0],
    "magnitude": lambda x: (x.abs() * 2.0)[1],
    "square": lambda x: x.square()[2],
    "sign": lambda x: x.sign()[0],
    "sum": lambda x: x.sum(0),
    "mean": lambda x: x.mean(0),
    "limits": lambda x: x[0].clamp(min=-1.0, max=2.0) + x[1].clamp(max=0.5) + x[2].clamp(min=0.25),
    "larger": lambda x: x[0].maximum(x[2]) + 0.0,
    "smaller": lambda x: x[0].minimum(x[1]) + 0.0,
    "compared": lambda x: ((x > 0.5) | (x < -0.5)).sum(0) + (x[0] == x[1]) * 8.0,
    "not alike": lambda x: ((x[0] != x[1]) & (x[0] >= x[2]) & ~(x[1] <= x[2])) * 3.0,
    "chosen": lambda x: x[0].where(x[1] > x[2], 7.0),
    "counted": lambda x: x[0] / (x > 0).sum(0).clamp(min=1),
    "torch.where": lambda x: torch.where(x[0] > 0, x[1], 1.0),
    "torch.where of a number": lambda x: torch.where(x[0] > 0, 1.0, x[1]),
    "torch's functions": lambda x: (
        torch.clamp(x, min=-1.0, max=1.0).sum(0) + torch.abs(x[0]) + torch.square(x[1])
    ),
    "torch.sum": lambda x: torch.sum(x, 0) * torch.sign(x[0]) + torch.minimum(x[1], x[2]),
    "unpacked": lambda x: (lambda a, b, c: a * b + c)(*x),
}


def same(found: np.ndarray, wanted: torch.Tensor) -> None:
    """Equal bits, but for NaN."""
    values = wanted.numpy()
    assert np.array_equal(np.isnan(found), np.isnan(values))
    known = ~np.isnan(values)
    assert found[known].view(np.uint32).tolist() == values[known].view(np.uint32).tolist()


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_is_read_as_torch_computes_it(play, name: str) -> None:
    formula = FORMULAS[name]
    same(play(formula, STACK), formula(torch.from_numpy(STACK)).float())


def test_one_compiled_kernel_computes_all_formulas_as_torch_does(play) -> None:
    """Which of them an entry shows is what the base says there."""
    stack = np.tile(STACK, len(FORMULAS))
    which = np.arange(len(FORMULAS), dtype=np.float32).repeat(len(ODD))

    def formula(x: Any, which: Any) -> Any:
        found = which
        for i, each in enumerate(FORMULAS.values()):
            found = each(x).where(which == i, found)
        return found

    found = play(formula, stack, base=which, compiled=True)
    same(found, formula(torch.from_numpy(stack), torch.from_numpy(which)))


@pytest.mark.parametrize("compiled", [False, True])
def test_a_root_is_rounded_to_the_nearest_which_torchs_is_not(play, compiled: bool) -> None:
    found = play(lambda x: torch.sqrt(x[0].abs()), STACK, compiled=compiled)
    same(found, torch.from_numpy(np.sqrt(np.abs(STACK[0]).astype(np.float64)).astype(np.float32)))


@pytest.mark.parametrize("compiled", [False, True])
def test_coefficients_and_conditions_may_be_of_each_model(play, compiled: bool) -> None:
    weight = np.array([[0.5], [-1.0], [3.0]], np.float32)

    def formula(x: Any, w: Any, base: Any) -> Any:
        votes = (x - base) * w
        return votes.where(w > 0, base).sum(0) + (w[1] * x[0]).where(w[2] > 5, 1.0)

    base = np.linspace(-1, 1, STACK.shape[1], dtype=np.float32)
    found = play(lambda x, b: formula(x, Small(weight), b), STACK, base=base, compiled=compiled)
    tensors = torch.from_numpy(STACK), torch.from_numpy(weight), torch.from_numpy(base)
    same(found, formula(*tensors))


def test_a_stack_says_its_form(play) -> None:
    x = play.traced(3, n=8)
    assert (x.shape, x.ndim, len(x), x.per_model) == ((3, 8), 2, 3, True)
    one = x.sum(0)
    assert (one.shape, one.ndim, len(one), one.per_model) == ((8,), 1, 8, False)
    assert x.to(x.dtype) is x and len(list(x)) == 3
    assert x[-1].step == x[2].step


@pytest.mark.parametrize(
    "leave",
    [
        lambda x: torch.linalg.svd(x),
        lambda x: torch.softmax(x, 0),
        lambda x: x.softmax(0),
        lambda x: x.sum(1),
        lambda x: x.sum(0).sum(0),
        lambda x: x[0, 1],
        lambda x: x[0][1],
        lambda x: x[:2],
        lambda x: x if x[0] > 0 else -x,
        lambda x: x * np.ones((2, 2)),
        lambda x: (x > 0) + (x < 1),
        lambda x: (x > 0) * (x < 1),
        lambda x: (x > 0).where(x > 1, x > 2),
        lambda x: x & (x > 0),
        lambda x: ~x,
        lambda x: x.where(x, 0.0),
        lambda x: (x > 0).abs(),
    ],
)
def test_what_it_has_no_word_for_leaves_the_vocabulary(play, leave: Callable[..., Any]) -> None:
    with pytest.raises(NotStreamableError):
        leave(play.traced(3))


def test_an_index_past_the_last_model_is_an_error(play) -> None:
    with pytest.raises(IndexError):
        play.traced(3)[3]
