from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn import metrics as theirs

from alnico.errors import DataError
from alnico.evaluation.evaluate import evaluate
from alnico.types import Task

BINARY = Task("binary", ("no", "yes"))
THREE = Task("multiclass", ("a", "b", "c"))


def draw(n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    likely = softmax(random.normal(size=(80, n_classes)), axis=1)
    return random.integers(n_classes, size=80), likely


def test_two_classes_have_every_score_of_scikit_learn() -> None:
    target, likely = draw(2)
    chosen = likely.argmax(1)
    assert evaluate(target, likely, BINARY) == pytest.approx(
        {
            "log_loss": theirs.log_loss(target, likely),
            "roc_auc": theirs.roc_auc_score(target, likely[:, 1]),
            "average_precision": theirs.average_precision_score(target, likely[:, 1]),
            "accuracy": theirs.accuracy_score(target, chosen),
            "f1": theirs.f1_score(target, chosen),
            "brier": theirs.brier_score_loss(target, likely[:, 1]),
        }
    )


def test_more_classes_are_averaged() -> None:
    target, likely = draw(3)
    found = evaluate(target, likely, THREE)
    assert found["roc_auc"] == pytest.approx(
        theirs.roc_auc_score(target, likely, multi_class="ovr")
    )
    assert found["f1"] == pytest.approx(theirs.f1_score(target, likely.argmax(1), average="macro"))


def test_numbers_have_scores_of_their_own() -> None:
    random = np.random.default_rng(1)
    target = random.normal(10, 3, 50)
    said = target + random.normal(0, 1, 50)
    assert evaluate(target, said, Task("regression")) == pytest.approx(
        {
            "rmse": theirs.root_mean_squared_error(target, said),
            "mae": theirs.mean_absolute_error(target, said),
            "r2": theirs.r2_score(target, said),
        }
    )


def test_a_score_that_the_rows_do_not_define_is_left_out() -> None:
    _, likely = draw(2)
    of_one_class = evaluate(np.zeros(80, int), likely, BINARY)
    assert "roc_auc" not in of_one_class and "log_loss" in of_one_class
    constant = evaluate(np.full(5, 3.0), np.arange(5.0), Task("regression"))
    assert set(constant) == {"rmse", "mae"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda likely: likely[:-1], r"compares \[n\] classes"),
        (lambda likely: likely * np.nan, "NaN"),
        (lambda likely: likely * 2, "not probabilities"),
    ],
)
def test_what_cannot_be_scored_at_all_is_refused_not_left_out(change, text: str) -> None:
    target, likely = draw(2)
    with pytest.raises(DataError, match=text):
        evaluate(target, change(likely), BINARY)
