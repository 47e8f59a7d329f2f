from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression

from alnico.structures import Stacking, row_loss
from alnico.structures._descend import _minimise
from alnico.structures.stacking import MOST
from alnico.types import Task

BINARY, REGRESSION = Task("binary", (0, 1)), Task("regression")


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def fit_freely(parts, target, task: Task) -> Stacking:
    start = Stacking(len(parts), task.n_outputs)
    return _minimise(start, start, parts, target, task, 1e-8)


def test_without_a_penalty_it_is_logistic_regression_on_log_odds(make_parts) -> None:
    parts, target = make_parts(BINARY, 1.0, 2.0, 3.0, n=400)
    log_odds = (parts.logits[:, :, 1] - parts.logits[:, :, 0]).T.numpy()
    theirs = LogisticRegression(C=np.inf, tol=1e-8).fit(log_odds, target)
    expected = -np.log(theirs.predict_proba(log_odds)[np.arange(400), target]).mean()
    ours = float(row_loss(fit_freely(parts, target, BINARY)(parts), target, BINARY).mean())
    # one weight a class leaves it freer than one weight for the log-odds
    assert expected - 0.01 < ours < expected + 1e-4


def test_without_a_penalty_it_is_linear_regression(make_parts) -> None:
    parts, target = make_parts(REGRESSION, 1.0, 2.0, 3.0, n=400)
    theirs = LinearRegression().fit(parts.logits[:, :, 0].T, target)
    ours = fit_freely(parts, target, REGRESSION)
    np.testing.assert_allclose(ours.weight.detach().flatten(), theirs.coef_, atol=1e-3)
    np.testing.assert_allclose(ours.bias.detach(), theirs.intercept_, atol=1e-3)


def test_what_is_learned_with_a_penalty_is_near_the_free_optimum(make_parts) -> None:
    parts, target = make_parts(BINARY, 1.0, 2.0, 3.0, n=400)
    learned = Stacking.learn(parts, target, BINARY)
    free = fit_freely(parts, target, BINARY)
    best, found = (float(row_loss(s(parts), target, BINARY).mean()) for s in (free, learned))
    assert best <= found < best + 0.02


def test_a_member_that_shouts_is_turned_down(make_parts) -> None:
    parts, target = make_parts(BINARY, 1.0, 1.0, n=400)
    parts.logits.mul_(5)
    learned = Stacking.learn(parts, target, BINARY)
    start = Stacking(len(learned.members), 2)(parts.members(learned.members))
    before, after = (float(row_loss(out, target, BINARY).mean()) for out in (start, learned(parts)))
    assert after < 0.8 * before
    assert (learned.structure.weight < 0.5 / len(learned.members)).all()


def test_an_offset_of_all_members_is_taken_back(make_parts) -> None:
    parts, target = make_parts(REGRESSION, 0.2, 0.2, n=400)
    learned = Stacking.learn(type(parts)(parts.logits + 3, parts.features), target, REGRESSION)
    said = learned(type(parts)(parts.logits + 3, parts.features))
    assert abs(float((said[:, 0] - target).mean())) < 0.05


def test_it_reads_a_bounded_number_of_members(task, make_parts) -> None:
    parts, target = make_parts(task, *[1.0] * (MOST + 4))
    learned = Stacking.learn(parts, target, task)
    assert 2 <= len(learned.members) <= MOST
    assert learned.structure.weight.shape == (len(learned.members), 1, task.n_outputs)
    assert torch.equal(learned(parts), learned.structure(parts.members(learned.members)))
