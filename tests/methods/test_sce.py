from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from alnico.methods import methods

sce = methods["sce"]


@pytest.mark.parametrize("density", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(40,), (10, 20), (4, 5, 3, 3)])
def test_it_is_mergekits(
    mergekit: Callable, family: Callable, shape: tuple[int, ...], density: float
) -> None:
    base, models = family(3, *shape)
    expected = mergekit(models, "sce", base, select_topk=density)
    torch.testing.assert_close(base + sce(models - base, density=density), expected)


def test_it_is_select_calculate_erase_entry_by_entry() -> None:
    deltas = torch.randn(3, 30) * torch.tensor([1.0, 2.0, 0.5])[:, None]
    deltas[:, :10] = 1.0  # these do not vary; a half of the other 20 is selected
    chosen = deltas.var(0, correction=0).argsort(descending=True)[:10]
    energy = deltas[:, chosen].square().sum(1)
    expected = torch.zeros(30)
    for entry in chosen.tolist():
        column = deltas[:, entry]
        agrees = column * column.sum() > 0
        expected[entry] = (column * energy)[agrees].sum() / energy[agrees].sum()
    torch.testing.assert_close(sce(deltas, density=0.5), expected)


def test_models_that_say_more_weigh_more_however_small_their_changes() -> None:
    deltas = torch.tensor([[1.0, 1.0], [3.0, 3.0]])
    for size in (1.0, 1e-5):
        torch.testing.assert_close(sce(size * deltas), torch.full((2,), 2.8 * size))
    even = sce(1e-5 * deltas, least_energy=1e-6)
    torch.testing.assert_close(even, torch.full((2,), 2e-5))


def test_below_the_least_energy_it_is_mergekits_for_small_changes(
    mergekit: Callable, family: Callable
) -> None:
    base, models = family(3, 10, 20)
    models = base + 1e-4 * (models - base)
    expected = mergekit(models, "sce", base) - base
    torch.testing.assert_close(sce(models - base, least_energy=1e-6), expected, atol=5e-7, rtol=0)


def test_models_that_are_the_base_leave_it() -> None:
    for density in (0.5, 1.0):
        assert sce(torch.zeros(3, 4), density=density).tolist() == [0.0] * 4
