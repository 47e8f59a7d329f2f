from __future__ import annotations

import torch

from alnico.tensors.consensus import disjoint_mean, elect_sign


def test_the_heavier_sign_is_elected_and_a_draw_is_plus() -> None:
    votes = torch.tensor([[1.0, -3.0, 2.0, 0.0, -0.5], [1.0, 1.0, -2.0, 0.0, 0.25]])
    assert elect_sign(votes).tolist() == [1.0, -1.0, 1.0, 1.0, -1.0]
    assert elect_sign(votes[:, 4]).item() == -1.0


def test_the_mean_is_over_those_that_agree() -> None:
    votes = torch.randn(5, 3, 4)
    votes[votes.abs() < 0.3] = 0.0
    sign = elect_sign(votes)
    found = disjoint_mean(votes, sign)
    for i in range(3):
        for j in range(4):
            agree = [v for v in votes[:, i, j].tolist() if v * sign[i, j].item() > 0]
            expected = sum(agree) / len(agree) if agree else 0.0
            torch.testing.assert_close(found[i, j].item(), expected, rtol=1e-5, atol=1e-6)


def test_it_is_zero_where_none_agrees_and_nan_where_one_is() -> None:
    votes = torch.tensor([[0.0, torch.nan, -1.0], [0.0, 1.0, -3.0]])
    found = disjoint_mean(votes, elect_sign(votes))
    assert found[0] == 0.0 and found[1].isnan() and found[2] == -2.0
    assert disjoint_mean(votes[:, 2], torch.tensor(1.0)) == 0.0


def test_float32_stays_float32_also_of_scalars() -> None:
    for shape in ((2,), (2, 3)):
        votes = torch.randn(shape)
        assert disjoint_mean(votes, elect_sign(votes)).dtype == torch.float32
