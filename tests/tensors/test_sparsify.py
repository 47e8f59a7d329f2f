from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from alnico.tensors.sparsify import keep_largest


def kept_by_sorting(row: Tensor, n_kept: int) -> list[float]:
    """The slow way: sort positions by magnitude, the earlier first among equals."""
    values = row.flatten().tolist()
    order = sorted(range(len(values)), key=lambda i: (-abs(values[i]), i))
    stay = set(order[:n_kept])
    return [value if i in stay else 0.0 for i, value in enumerate(values)]


@pytest.mark.parametrize("shape", [(), (1,), (11,), (4, 6), (2, 3, 4)])
@pytest.mark.parametrize("density", [0.01, 0.2, 0.5, 0.99])
def test_the_largest_of_each_model_stay_and_the_earlier_of_equals(
    shape: tuple[int, ...], density: float
) -> None:
    deltas = torch.randint(-4, 5, (3, *shape)).float()  # many draws
    kept = keep_largest(deltas, density)
    assert kept.shape == deltas.shape
    n_kept = math.floor(density * deltas[0].numel() + 0.5)
    for model, found in zip(deltas, kept, strict=True):
        assert found.flatten().tolist() == kept_by_sorting(model, n_kept)


def test_all_or_nothing_stays_at_the_ends() -> None:
    deltas = torch.randn(2, 5)
    assert torch.equal(keep_largest(deltas, 1.0), deltas)
    assert torch.equal(keep_largest(deltas, 0.0), torch.zeros(2, 5))
    assert keep_largest(deltas[:, :0], 0.5).shape == (2, 0)


@pytest.mark.parametrize(
    ("n_entries", "density", "n_kept"), [(100, 0.29, 29), (3, 0.5, 2), (1, 0.5, 1), (4, 0.1, 0)]
)
def test_the_number_kept_is_rounded(n_entries: int, density: float, n_kept: int) -> None:
    assert keep_largest(torch.rand(1, n_entries) + 1, density).count_nonzero() == n_kept


def test_some_stay_at_least_but_none_where_none_are_wanted() -> None:
    deltas = torch.tensor([[1.0, 3.0, 2.0, 0.5]])
    assert keep_largest(deltas, 0.1, at_least=1).tolist() == [[0.0, 3.0, 0.0, 0.0]]
    assert keep_largest(deltas[:, 0], 0.1, at_least=1).tolist() == [1.0]
    assert keep_largest(deltas, 0.75, at_least=1).count_nonzero() == 3
    assert keep_largest(deltas, 0.0, at_least=1).count_nonzero() == 0


def test_as_many_stay_as_asked_where_all_are_equal() -> None:
    assert keep_largest(torch.full((2, 10), -3.0), 0.3).tolist() == [[-3.0] * 3 + [0.0] * 7] * 2


def test_nan_and_infinity_are_the_largest_and_stay() -> None:
    deltas = torch.tensor([[1.0, torch.nan, 2.0, 3.0], [-torch.inf, 4.0, 0.0, torch.inf]])
    kept = keep_largest(deltas, 0.5)
    torch.testing.assert_close(
        kept,
        torch.tensor([[0.0, torch.nan, 0.0, 3.0], [-torch.inf, 0.0, 0.0, torch.inf]]),
        equal_nan=True,
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_dtype_stays_and_a_gradient_reaches_what_stays(dtype: torch.dtype) -> None:
    deltas = torch.tensor([[1.0, -3.0, 2.0, 0.0]], dtype=dtype, requires_grad=True)
    kept = keep_largest(deltas, 0.5)
    assert kept.dtype == dtype
    kept.sum().backward()
    assert deltas.grad is not None and deltas.grad.tolist() == [[0.0, 1.0, 1.0, 0.0]]
