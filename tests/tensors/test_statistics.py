from __future__ import annotations

import numpy as np
import pytest
import torch

from alnico.tensors import statistics
from alnico.tensors.kernels.interpreted import PIECE
from alnico.tensors.small import Small
from alnico.tensors.statistics import add, column, gram, total, totals


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 4), (0, 2)])
def test_it_is_numpys_inner_product_in_float64(shape: tuple[int, ...]) -> None:
    stack = torch.randn(3, *shape)
    flat = stack.numpy().reshape(3, int(np.prod(shape))).astype(np.float64)
    found = gram(stack)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), flat @ flat.T, rtol=1e-12)


def test_blocks_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = torch.randn(2, 5, 20)
    whole = gram(stack)
    monkeypatch.setattr(statistics, "BLOCK", 7)
    torch.testing.assert_close(gram(stack), whole)
    torch.testing.assert_close(total(stack), stack.double().flatten(1).sum(1))


def test_float64_keeps_what_float32_would_lose() -> None:
    stack = torch.full((1, 1 << 20), 0.1)
    exact = float(np.float32(0.1)) ** 2 * (1 << 20)
    assert gram(stack).item() == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("shape", [(), (7,), (3, 4), (0, 2)])
def test_totals_are_numpys_sums_in_float64_also_of_truths(shape: tuple[int, ...]) -> None:
    stack = torch.randn(3, *shape)
    flat = stack.numpy().reshape(3, int(np.prod(shape)))
    sums, counts = totals(stack, stack > 0)
    np.testing.assert_allclose(sums.numpy(), flat.astype(np.float64).sum(1), rtol=1e-12)
    assert counts.tolist() == (flat > 0).sum(1).tolist()
    assert sums.dtype == counts.dtype == torch.float64


def test_a_sum_over_models_goes_in_their_order_wherever_an_entry_lies() -> None:
    stack = torch.randn(9, 1000)
    by_hand = np.zeros(1000, np.float32)
    for model in stack.numpy():
        by_hand = by_hand + model
    assert torch.equal(add(stack), torch.from_numpy(by_hand))
    assert torch.equal(add(stack[:, 3:4]), add(stack)[3:4])


def test_a_column_has_the_form_and_the_precision_of_the_stack() -> None:
    values = torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert column(values, torch.zeros(2, 3, 4)).shape == (2, 1, 1)
    assert column(values, torch.zeros(2)).shape == (2,)
    assert column(values, torch.zeros(2)).dtype == torch.float32


@pytest.mark.parametrize(("k", "compiled"), [(1, False), (4, False), (4, True)])
def test_kernels_add_up_as_numpy_does_in_float64(play, k: int, compiled: bool) -> None:
    """Also of values whose squares float32 does not hold."""
    stack = (np.random.randn(k, 3 * PIECE + 11) * 1e-25).astype(np.float32)
    wide = stack.astype(np.float64)
    asked = play(gram, stack, compiled=compiled)
    np.testing.assert_allclose(asked, wide @ wide.T, rtol=1e-9, atol=1e-12 * (wide[0] @ wide[0]))
    sums, counts = play(lambda x: totals(x.abs(), x > 0), stack, compiled=compiled)
    np.testing.assert_allclose(sums, np.abs(wide).sum(1), rtol=1e-12)
    assert counts.tolist() == (stack > 0).sum(1).tolist()


def test_a_traced_stack_asks_and_is_given_a_small_value(play) -> None:
    found = gram(play.traced(2, answers=[np.eye(2)]))
    assert isinstance(found, Small) and found.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    first, second = totals(*[play.traced(2, answers=[np.array([[1.0, 2.0], [3.0, 4.0]])])] * 2)
    assert (first.tolist(), second.tolist()) == ([1.0, 2.0], [3.0, 4.0])
