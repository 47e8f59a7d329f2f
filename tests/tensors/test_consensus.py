from __future__ import annotations

import pytest
import torch

from alnico.errors import RecipeError
from alnico.tensors.consensus import (
    agreeing_sum,
    agreement,
    elect_sign,
    total_weight,
    weighted_sum,
)


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values)[:, None]


def test_the_heavier_sign_is_elected_and_a_draw_is_plus() -> None:
    votes = torch.tensor([[1.0, -3.0, 2.0, 0.0, -0.5], [1.0, 1.0, -2.0, 0.0, 0.25]])
    assert elect_sign(votes).tolist() == [1.0, -1.0, 1.0, 1.0, -1.0]
    assert elect_sign(votes[:, 4]).item() == -1.0


def test_a_zero_agrees_with_nobody() -> None:
    votes = torch.tensor([[1.0, 0.0, -1.0], [0.5, 0.0, 3.0]])
    assert agreement(votes).tolist() == [[True, False, False], [True, False, True]]


@pytest.mark.parametrize("normalize", ["none", "models", "weights"])
def test_the_sum_is_over_those_that_agree(normalize: str) -> None:
    deltas, weight = torch.randn(5, 3, 4), torch.tensor([1.0, 0.5, 2.0, -0.5, 0.0])
    deltas[deltas.abs() < 0.3] = 0.0
    found = agreeing_sum(deltas, weight[:, None, None], normalize)
    for i in range(3):
        for j in range(4):
            votes = [
                (d * w, w) for d, w in zip(deltas[:, i, j].tolist(), weight.tolist(), strict=True)
            ]
            sign = 1 if sum(vote for vote, _ in votes) >= 0 else -1
            agree = [(vote, w) for vote, w in votes if vote * sign > 0]
            mass = {"none": 1, "models": len(agree), "weights": sum(w for _, w in agree)}
            expected = sum(vote for vote, _ in agree) / (mass[normalize] or 1)
            torch.testing.assert_close(found[i, j].item(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("normalize", ["none", "models", "weights"])
def test_it_is_zero_where_none_agrees_and_nan_where_one_is(normalize: str) -> None:
    votes = torch.tensor([[0.0, torch.nan, -1.0], [0.0, 1.0, -3.0]])
    found = agreeing_sum(votes, column(1.0, 1.0), normalize)
    assert found[0] == 0.0 and found[1].isnan() and found[2].isfinite()


def test_agreeing_weights_that_cancel_divide_nothing() -> None:
    deltas, weight = torch.tensor([[1.0], [-2.0], [-3.0]]), column(0.3, -0.1, -0.2)
    assert agreeing_sum(deltas, weight, "weights").item() == pytest.approx(1.1)


def test_a_weighted_sum_is_the_matrix_product() -> None:
    deltas, weight = torch.randn(4, 6), torch.tensor([1.0, 2.0, -0.5, 0.0])
    total = weight @ deltas
    torch.testing.assert_close(weighted_sum(deltas, weight[:, None], "none"), total)
    torch.testing.assert_close(weighted_sum(deltas, weight[:, None], "weights"), total / 2.5)
    assert not weighted_sum(deltas, 0 * weight[:, None], "weights").any()


@pytest.mark.parametrize("weight", [(1.0, -1.0), (0.1, 0.2, -0.3), (0.0, 0.0)])
def test_weights_that_cancel_are_refused(weight: tuple[float, ...]) -> None:
    with pytest.raises(RecipeError, match="the weights sum to 0, got") as error:
        total_weight(column(*weight), instead="do without")
    assert "give weights with another sum, or do without" in str(error.value)
    assert total_weight(column(1e-30, 1e-30)).item() == pytest.approx(2e-30)


def test_float32_stays_float32_also_of_scalars() -> None:
    for shape in ((2,), (2, 3)):
        votes, weight = torch.randn(shape), torch.ones(2, *[1] * (len(shape) - 1))
        for normalize in ("none", "weights"):
            assert agreeing_sum(votes, weight, normalize).dtype == torch.float32
            assert weighted_sum(votes, weight, normalize).dtype == torch.float32
