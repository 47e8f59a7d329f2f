from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from alnico.errors import RecipeError
from alnico.methods import methods

passthrough = methods["passthrough"]


def test_it_is_the_model_times_a_number(mergekit: Callable) -> None:
    stack = torch.randn(1, 4, 5)
    assert torch.equal(passthrough(stack), stack[0])
    assert torch.equal(passthrough(stack, scale=-0.5), -stack[0] / 2)
    assert torch.equal(passthrough(stack, scale=0.3), mergekit(stack, "passthrough", scale=0.3))


def test_more_than_one_model_is_refused() -> None:
    with pytest.raises(RecipeError, match="passthrough merges 1 model, got 2"):
        passthrough(torch.randn(2, 3))
