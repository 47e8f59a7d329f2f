from __future__ import annotations

import numpy as np

from alnico.evaluation.ranking import average_precision_scorer, divide, roc_auc_scorer


def test_roc_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    positive, value = np.random.rand(40) < 0.4, np.random.randint(6, size=40) / 6.0
    weight = np.random.rand(3, 40)
    expected = []
    for w in weight:
        right = total = 0.0
        for i in np.flatnonzero(positive):
            for j in np.flatnonzero(~positive):
                total += w[i] * w[j]
                right += w[i] * w[j] * (0.5 if value[i] == value[j] else value[i] > value[j])
        expected.append(right / total)
    np.testing.assert_allclose(roc_auc_scorer(positive, value)(weight), expected)


def test_average_precision_is_the_mean_precision_at_each_positive_row() -> None:
    positive, value = np.random.rand(40) < 0.4, np.random.randint(6, size=40) / 6.0
    expected = np.mean([positive[value >= value[i]].mean() for i in np.flatnonzero(positive)])
    one = average_precision_scorer(positive, value)(np.ones((1, 40)))
    np.testing.assert_allclose(one, [expected])


def test_a_perfect_ranking_scores_one_and_a_constant_one_half() -> None:
    positive, weight = np.array([False, True, True]), np.ones((1, 3))
    assert roc_auc_scorer(positive, np.array([0.1, 0.2, 0.3]))(weight) == 1
    assert roc_auc_scorer(positive, np.full(3, 0.5))(weight) == 0.5
    assert average_precision_scorer(positive, np.array([0.1, 0.2, 0.3]))(weight) == 1


def test_rows_without_weight_do_not_count_even_at_the_top() -> None:
    positive, value = np.array([False, True, False]), np.array([0.9, 0.8, 0.1])
    weight = np.array([[0.0, 1.0, 1.0]])
    assert average_precision_scorer(positive, value)(weight) == 1
    assert roc_auc_scorer(positive, value)(weight) == 1


def test_a_division_by_zero_is_nan_without_a_warning() -> None:
    np.testing.assert_equal(divide(np.array([1.0, 0.0]), np.array([2.0, 0.0])), [0.5, np.nan])
