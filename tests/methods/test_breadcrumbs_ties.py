from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from alnico.methods import methods

breadcrumbs_ties = methods["breadcrumbs_ties"]


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("rescale", [True, False])
def test_it_is_mergekits(
    mergekit: Callable, family: Callable, normalize: bool, rescale: bool
) -> None:
    base, models = family(4, 10, 20)
    weight, density, outliers = [1.0, 0.5, -0.25, 0.0], [0.5, 0.6, 0.7, 0.8], [0.1, 0.2, 0.0, 0.2]
    expected = mergekit(
        models,
        "breadcrumbs_ties",
        base,
        weight=weight,
        density=density,
        gamma=outliers,
        normalize=normalize,
        rescale=rescale,
    )
    found = breadcrumbs_ties(
        models - base,
        weight=weight,
        density=density,
        outliers=outliers,
        normalize="weights" if normalize else "none",
        rescale="l1" if rescale else "none",
    )
    torch.testing.assert_close(base + found, expected)


def test_without_outliers_it_is_ties() -> None:
    deltas = torch.randn(3, 40)
    found = breadcrumbs_ties(deltas, density=0.3, outliers=0.0, normalize="models")
    assert torch.equal(found, methods["ties"](deltas, density=0.3))
