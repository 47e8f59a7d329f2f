from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from torch import Tensor

from alnico.fusing import crossfit


@dataclass
class Memory:
    """Knows the answer of rows it saw by heart, and says 0 of all others."""

    target: Tensor
    seen: Tensor

    def outputs(self, rows: Tensor) -> Tensor:
        return torch.where(torch.isin(rows, self.seen), self.target[rows], 0.0)[:, None]


@pytest.fixture
def folds() -> Tensor:
    return torch.randperm(60) % 5


def test_what_is_known_by_heart_is_of_no_help_on_held_rows(folds: Tensor) -> None:
    target = torch.rand(60) + 1
    fitted = crossfit(lambda rows: Memory(target, rows), folds)
    assert not fitted.outputs.any()
    assert torch.equal(fitted.fit.outputs(torch.arange(60))[:, 0], target)


def test_each_fit_sees_all_folds_but_one_and_the_last_word_sees_all(folds: Tensor) -> None:
    calls: list[Tensor] = []

    def learn(rows: Tensor) -> Memory:
        calls.append(rows)
        return Memory(torch.ones(60), rows)

    fitted = crossfit(learn, folds)
    assert fitted.fit.seen.tolist() == list(range(60))
    assert sorted(len(rows) for rows in calls) == [48] * 5 + [60]
    left_out = [set(range(60)) - set(rows.tolist()) for rows in calls]
    assert {i for rows in left_out for i in rows} == set(range(60))
    assert all(len(folds[list(rows)].unique()) == 1 for rows in left_out if rows)


@dataclass
class Line:
    model: LinearRegression
    x: np.ndarray

    def outputs(self, rows: Tensor) -> Tensor:
        return torch.from_numpy(self.model.predict(self.x[rows]))[:, None]


def test_outputs_equal_those_of_scikit_learn_in_the_order_of_rows(folds: Tensor) -> None:
    x, y = np.random.randn(60, 3), np.random.randn(60)

    def learn(rows: Tensor) -> Line:
        return Line(LinearRegression().fit(x[rows], y[rows]), x)

    fitted = crossfit(learn, folds)
    theirs = cross_val_predict(LinearRegression(), x, y, cv=PredefinedSplit(folds.numpy()))
    np.testing.assert_allclose(fitted.outputs[:, 0], theirs)
    np.testing.assert_allclose(fitted.fit.model.coef_, LinearRegression().fit(x, y).coef_)


def test_fold_numbers_need_not_be_consecutive() -> None:
    folds = torch.tensor([7, -1, 7, 40, 40, -1])
    fitted = crossfit(lambda rows: Memory(torch.full((6,), 9.0), rows), folds)
    assert fitted.outputs.shape == (6, 1) and not fitted.outputs.any()
