from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from alnico.structures import Concat, Parts, Stacking, row_loss
from alnico.structures._descend import STRENGTHS, _minimise, descend
from alnico.structures._features import Standardise
from alnico.types import Task

REGRESSION = Task("regression")


def test_the_start_is_not_changed(task, make_parts) -> None:
    parts, target = make_parts(task, 0.5, 2.0)
    start = Stacking(2, task.n_outputs)
    before = copy.deepcopy(start.state_dict())
    fitted = descend(start, parts, target, task)
    assert all(torch.equal(before[name], p) for name, p in start.state_dict().items())
    assert all(p.grad is None for p in start.parameters())
    assert not torch.equal(fitted.weight, start.weight)


def test_what_helps_is_learned(task, make_parts) -> None:
    parts, target = make_parts(task, 0.1, 3.0)
    start = Stacking(2, task.n_outputs)
    fitted = descend(start, parts, target, task)
    new, answer = make_parts(task, 0.1, 3.0, seed=1)
    with torch.no_grad():
        before, after = (row_loss(s(new), answer, task).mean() for s in (start, fitted))
    assert after < 0.7 * before


@pytest.mark.parametrize("seed", range(3))
def test_useless_features_do_far_less_harm_than_to_least_squares(make_parts, seed: int) -> None:
    parts, target = make_parts(REGRESSION, 0.3, n=60, width=30, seed=seed)
    new, answer = make_parts(REGRESSION, 0.3, n=2_000, width=30, seed=seed + 10)
    start = Concat(parts.widths, 1)
    plain = copy.deepcopy(start)
    residual = target[:, None] - parts.logits[0]
    plain.weight.data = torch.linalg.lstsq(parts.features[0], residual).solution.T
    fitted = descend(start, parts, target, REGRESSION)
    with torch.no_grad():
        before, least_squares, after = (
            row_loss(s(new), answer, REGRESSION).mean() for s in (start, plain, fitted)
        )
    assert after - before < 0.25 * (least_squares - before)


def test_the_start_is_kept_where_nothing_helps_on_other_rows() -> None:
    # a feature for each row, and a mean of 0: what some rows teach is wrong for all others
    target = torch.randn(40)
    target -= target.mean()
    start = Concat([40], 1)
    parts = Parts(torch.zeros(1, 40, 1), (torch.eye(40),))
    fitted = descend(start, parts, target, REGRESSION)
    assert fitted is not start
    assert not fitted.weight.any() and not fitted.bias.any()


def test_the_start_is_kept_where_it_is_perfect(make_parts) -> None:
    parts, target = make_parts(REGRESSION, 0.0, 0.0)
    fitted = descend(Stacking(2, 1), parts, target, REGRESSION)
    assert (fitted.weight == 0.5).all() and not fitted.bias.any()


def test_it_repeats_itself_to_the_bit(task, make_parts) -> None:
    parts, target = make_parts(task, 0.5, 1.0)
    start = Concat(parts.widths, task.n_outputs)
    one, other = (descend(start, parts, target, task).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_the_minimum_is_that_of_ridge_regression(make_parts, strength: float) -> None:
    parts, target = make_parts(REGRESSION, 1.0, 2.0)
    target = target + parts.features[0] @ torch.tensor([1.0, -2.0, 0.5])
    start = Concat(parts.widths, 1)
    fitted = _minimise(start, start, parts, target, REGRESSION, strength)
    # mean squared error of n rows, with the offset penalised too
    x = np.concatenate([*parts.features, np.ones((200, 1))], 1)
    residual = (target - parts.logits.mean(0)[:, 0]).numpy()
    theirs = Ridge(alpha=strength * 200, fit_intercept=False).fit(x, residual)
    ours = torch.cat([fitted.weight[0], fitted.bias]).detach()
    np.testing.assert_allclose(ours, theirs.coef_, atol=2e-3)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_handful_of_rows_does_no_harm(task, make_parts, n: int) -> None:
    parts, target = make_parts(task, 0.5, 1.0, n=n)
    fitted = descend(Stacking(2, task.n_outputs), parts, target, task)
    assert all(p.isfinite().all() for p in fitted.parameters())


def test_features_are_standardised_and_constant_ones_only_centred(make_parts) -> None:
    parts, _ = make_parts(REGRESSION, 1.0, 1.0)
    parts.features[0].mul_(50).add_(3)
    parts.features[1][:, 0] = 7
    standardise = Standardise(parts.widths)
    standardise.fit_(parts)
    out = standardise(parts)
    std = torch.tensor([1.0, 1, 1, 0, 1, 1])
    torch.testing.assert_close(out.mean(0), torch.zeros(6), rtol=0, atol=1e-5)
    torch.testing.assert_close(out.std(0, correction=0), std, rtol=0, atol=1e-5)
