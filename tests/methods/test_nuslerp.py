from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from alnico.errors import RecipeError
from alnico.methods import methods

nuslerp = methods["nuslerp"]
WAYS = [(True, False), (False, False), (False, True)]


@pytest.mark.parametrize("shape", [(20,), (10, 20), (4, 5, 3, 3)])
@pytest.mark.parametrize(("flatten", "row_wise"), WAYS)
@pytest.mark.parametrize("weight", [[1.0, 0.5], [2.0, -0.5]])
def test_it_is_mergekits(
    mergekit: Callable,
    family: Callable,
    shape: tuple[int, ...],
    flatten: bool,
    row_wise: bool,
    weight: list[float],
) -> None:
    base, models = family(2, *shape)
    theirs = {"weight": weight, "nuslerp_flatten": flatten, "nuslerp_row_wise": row_wise}
    ours = {"weight": weight, "flatten": flatten, "row_wise": row_wise}
    torch.testing.assert_close(nuslerp(models, **ours), mergekit(models, "nuslerp", **theirs))
    changed = base + nuslerp(models - base, **ours)
    expected = mergekit(models, "nuslerp", base, **theirs)
    torch.testing.assert_close(changed, expected, rtol=1e-5, atol=1e-5)


def test_of_whole_tensors_it_is_slerp() -> None:
    stack = torch.randn(2, 4, 5)
    torch.testing.assert_close(nuslerp(stack, weight=[3.0, 1.0]), methods["slerp"](stack, t=0.25))


def test_each_row_or_column_turns_by_itself() -> None:
    stack = torch.randn(2, 4, 5)
    rows = [nuslerp(stack[:, i]) for i in range(4)]
    torch.testing.assert_close(nuslerp(stack, flatten=False), torch.stack(rows))
    columns = [nuslerp(stack[:, :, i]) for i in range(5)]
    found = nuslerp(stack, flatten=False, row_wise=True)
    torch.testing.assert_close(found, torch.stack(columns, 1))


@pytest.mark.parametrize(("flatten", "row_wise"), WAYS)
def test_vectors_without_an_arc_are_joined_by_a_straight_line(
    flatten: bool, row_wise: bool
) -> None:
    a = torch.randn(3, 4)
    for other in (torch.zeros(3, 4), -2 * a, 0.7 * a, -a):
        stack = torch.stack([a, other])
        found = nuslerp(stack, weight=[3.0, 1.0], flatten=flatten, row_wise=row_wise)
        torch.testing.assert_close(found, 0.75 * a + 0.25 * other)


def test_weights_that_sum_to_nothing_are_refused() -> None:
    with pytest.raises(RecipeError, match="the weights sum to 0, got"):
        nuslerp(torch.randn(2, 3), weight=[1.0, -1.0])


def test_the_gradient_in_weight_is_that_of_the_formula() -> None:
    stack = torch.randn(2, 4, 3, dtype=torch.float64)
    weight = torch.tensor([0.2, 0.7], dtype=torch.float64, requires_grad=True)
    for flatten in (True, False):
        assert torch.autograd.gradcheck(
            lambda w, flatten=flatten: nuslerp(stack, weight=w, flatten=flatten), [weight]
        )
