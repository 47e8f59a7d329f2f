from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from alnico.errors import RecipeError
from alnico.methods import methods

nearswap = methods["nearswap"]


@pytest.mark.parametrize("t", [1e-5, 0.3, 100.0])
def test_it_is_mergekits(mergekit: Callable, family: Callable, t: float) -> None:
    base, models = family(1, 10, 20)
    expected = mergekit(models, "nearswap", base, t=t)
    torch.testing.assert_close(base + nearswap(models - base, t=t), expected)


def test_no_entry_goes_farther_than_the_step() -> None:
    delta = torch.tensor([[0.5, -0.5, 0.05, -0.05, 0.0, torch.nan, torch.inf]])
    found = nearswap(delta, t=0.1)
    expected = torch.tensor([0.1, -0.1, 0.05, -0.05, 0.0, torch.nan, 0.1])
    torch.testing.assert_close(found, expected, equal_nan=True)
    assert nearswap(delta[:, :5], t=0).tolist() == [0.0] * 5


def test_a_step_back_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"nearswap: t must lie in \[0, inf\], got -1"):
        nearswap(torch.randn(1, 3), t=-1)
