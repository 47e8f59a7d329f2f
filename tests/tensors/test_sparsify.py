from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from alnico.tensors.sparsify import (
    keep_largest,
    keep_random,
    n_kept,
    rank_probability,
    row_length,
    same_mass,
)


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


@pytest.mark.parametrize("shape", [(), (1,), (9,), (4, 40), (3, 2, 3, 3)])
def test_ranks_are_scipys_within_a_row(shape: tuple[int, ...]) -> None:
    deltas = torch.randint(-3, 4, (2, *shape)).float()
    width = row_length(shape)
    found = rank_probability(deltas, 0.5, 0.2)
    for model, chances in zip(deltas, found, strict=True):
        rows = model.abs().reshape(-1, width).numpy()
        ranks = stats.rankdata(rows, method="ordinal", axis=1)
        wanted = 0.3 + 0.4 * (ranks - 1) / (width - 1) if width > 1 else np.full_like(rows, 0.5)
        np.testing.assert_allclose(chances.reshape(-1, width).numpy(), wanted, rtol=1e-6)


def test_nan_ranks_as_infinity_and_the_earlier_of_both_is_smaller() -> None:
    row = torch.tensor([[torch.nan, 1.0, torch.inf, torch.nan, -0.0]])
    chances = rank_probability(row, 0.5, 0.4)
    torch.testing.assert_close(chances, torch.tensor([[0.5, 0.3, 0.7, 0.9, 0.1]]))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("width", [1, 2, 37, 401, 3000])
def test_kernels_rank_rows_as_torch_does(play, width: int, compiled: bool) -> None:
    kinds = [np.random.standard_t(1, (2, width)), np.random.randint(-2, 3, (2, width)) / 4]
    kinds += [np.array([[np.nan, np.inf, 1e-40, -0.0]] * 2).repeat(-(-width // 4), 1)[:, :width]]
    stack = np.concatenate(kinds, 1).astype(np.float32)
    found = play(lambda x: rank_probability(x, 0.5, 0.25)[1], stack, row=width, compiled=compiled)
    rows = torch.from_numpy(stack).reshape(2, 3, width)
    wanted = torch.stack([rank_probability(row, 0.5, 0.25) for row in rows.unbind(1)], 1)
    assert found.tolist() == wanted[1].flatten().tolist()


def test_a_row_is_what_one_output_reads() -> None:
    shapes = {(): 1, (7,): 7, (5, 3): 3, (4, 5, 64): 64, (8, 4, 3, 3): 36, (2, 3, 1): 3}
    assert {shape: row_length(shape) for shape in shapes} == shapes


def test_each_entry_stays_with_its_probability_and_nan_in_any_case() -> None:
    deltas = torch.ones(2, 20000)
    deltas[:, 0] = torch.nan
    density = torch.tensor([[0.2], [0.7]])
    kept = keep_random(deltas, density)
    assert kept[:, 0].isnan().all()
    assert set(kept[:, 1:].unique().tolist()) == {0.0, 1.0}
    for row, share in zip(kept[:, 1:], (0.2, 0.7), strict=True):
        assert stats.binomtest(int(row.sum()), row.numel(), share).pvalue > 1e-3
    assert torch.equal(keep_random(deltas[:, 1:], 1.0), deltas[:, 1:])


def test_what_is_kept_gets_the_sum_of_magnitudes_back_or_stays_where_there_is_none() -> None:
    deltas = torch.tensor([[1.0, -2.0, 3.0], [0.0, 0.0, 0.0], [4.0, 0.0, 0.0]])
    kept = deltas * torch.tensor([[0.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    scaled = same_mass(kept, deltas)
    assert scaled.tolist() == [[0.0, -6.0, 0.0], [0.0] * 3, [0.0] * 3]


@pytest.mark.parametrize("compiled", [False, True])
def test_kernels_keep_the_largest_by_a_cut_and_the_last_place_at_it(play, compiled: bool) -> None:
    stack = np.array([[3.0, -1.0, 1.0, np.nan, -1.0, 0.5]] * 2, np.float32)
    start = 100
    one = np.float32(1.0).view(np.uint32)
    cuts = np.array([[one, start + 2], [0x7F800001, -1]])
    asked = {"answers": [cuts], "start": start, "compiled": compiled}
    found = play(lambda x: keep_largest(x, torch.tensor([0.67, 0.0]))[0], stack, **asked)
    np.testing.assert_array_equal(found, [3.0, -1.0, 1.0, np.nan, 0.0, 0.0])
    none = play(lambda x: keep_largest(x, torch.tensor([0.67, 0.0]))[1], stack, **asked)
    assert none.tolist() == [0.0] * 6


def test_a_density_of_each_model_counts_for_each() -> None:
    assert n_kept(torch.tensor([[0.5], [0.0], [0.01]]), 3, 10, 1) == (5, 0, 1)
    assert n_kept(0.25, 2, 10, 0) == (3, 3)
