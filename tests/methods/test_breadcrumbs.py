from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from alnico.methods import methods

breadcrumbs = methods["breadcrumbs"]


def test_it_keeps_the_middle_of_the_sorted_changes() -> None:
    deltas = torch.randn(3, 20, 10)
    weight, density, outliers = [1.0, -0.5, 2.0], [0.5, 0.8, 0.1], [0.1, 0.05, 0.3]
    expected = torch.zeros(200)
    for delta, w, d, o in zip(deltas.flatten(1), weight, density, outliers, strict=True):
        order = delta.abs().argsort(descending=True)
        kept = order[round(o * 200) : round((o + d) * 200)]
        expected[kept] += w * delta[kept]
    found = breadcrumbs(deltas, weight=weight, density=density, outliers=outliers)
    torch.testing.assert_close(found.flatten(), expected)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("density", [0.2, 0.8, 0.95, 1.0])
def test_it_is_mergekits(
    mergekit: Callable, family: Callable, normalize: bool, rescale: bool, density: float
) -> None:
    base, models = family(3, 10, 20)
    weight = [1.0, 0.5, -0.25]
    expected = mergekit(
        models,
        "breadcrumbs",
        base,
        weight=weight,
        density=density,
        gamma=0.1,
        normalize=normalize,
        rescale=rescale,
    )
    found = breadcrumbs(
        models - base,
        weight=weight,
        density=density,
        outliers=0.1,
        normalize="weights" if normalize else "none",
        rescale="l1" if rescale else "none",
    )
    torch.testing.assert_close(base + found, expected)


def test_a_tensor_of_one_entry_is_not_lost_and_the_largest_of_hundreds_is() -> None:
    assert breadcrumbs(torch.tensor([2.0])) == 2.0
    deltas = torch.linspace(1, 2, 300)[None]
    assert breadcrumbs(deltas).nonzero().flatten().tolist() == list(range(27, 297))
