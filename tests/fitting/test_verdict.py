from __future__ import annotations

import numpy as np
import pytest

from alnico.evaluation.metrics import Metric, metrics
from alnico.fitting.rows import Row
from alnico.fitting.verdict import Verdict, rank_on_test, verdict

N = 400
LOSS, RMSE, R2 = metrics["log_loss"], metrics["rmse"], metrics["r2"]


def predicting(kind: str, error: float, *, parts: str = "", seed: int = 0) -> Row:
    """A row whose probability of the true class is off by about `error`."""
    noise = np.random.default_rng(seed).normal(0, 0.02, N)
    true = (1 - error + noise).clip(0.02, 0.98)
    target = truth()
    likely = np.where(target == 1, true, 1 - true)
    row = Row(kind, parts or kind)
    row.test_prediction = np.stack([1 - likely, likely], 1)
    row.test_score = LOSS.score(target, row.test_prediction)
    return row


def truth() -> np.ndarray:
    return np.arange(N) % 2


def judged(*rows: Row, metric: Metric = LOSS, target: np.ndarray | None = None) -> Verdict:
    labels = truth() if target is None else target
    return verdict(rows, metric=metric, target=labels, groups=None, seed=0)


def test_fusing_paid_when_it_beats_the_single_network_and_its_refit() -> None:
    found = judged(
        predicting("concat", 0.1, parts="mlp x2"),
        predicting("single", 0.2, parts="mlp-0.3", seed=1),
        predicting("linear", 0.3, seed=2),
        predicting("single_refit", 0.15, seed=3),
    )
    assert found.paid and found.text.startswith(
        "Fusing paid. The best fusion by validation is concat of mlp x2; on the test part"
    )
    assert "better than the best single network, mlp-0.3: +0.11" in found.text
    assert "better than that network refitted on training + validation rows: +0.05" in found.text
    assert "better than the linear model: +0.25" in found.text


def test_a_gain_within_noise_did_not_pay() -> None:
    found = judged(predicting("average", 0.2), predicting("single", 0.2, seed=1))
    assert not found.paid and "did not pay here: its gain is within noise" in found.text
    assert "level with the best single network" in found.text


def test_a_fusion_that_is_worse_cost() -> None:
    found = judged(predicting("single", 0.1), predicting("soup_uniform", 0.3, seed=1))
    assert not found.paid and found.text.startswith("Fusing did not pay: it cost.")
    assert "worse than the best single network" in found.text


@pytest.mark.parametrize(
    ("refit", "said"),
    [(0.05, "the same rows do more for a single network"), (0.1, "is level with it")],
)
def test_what_the_same_rows_do_for_a_single_network_is_not_the_fusions_merit(refit, said) -> None:
    found = judged(
        predicting("stacking", 0.1),
        predicting("single", 0.2, seed=1),
        predicting("single_refit", refit, seed=2),
    )
    assert not found.paid
    assert found.text.startswith("Fusing did not pay here") and said in found.text


def test_a_linear_model_that_beats_everything_is_named() -> None:
    rows = [
        predicting("single", 0.3),
        predicting("average", 0.2, seed=1),
        predicting("linear", 0.1, seed=2),
    ]
    found = judged(*rows)
    assert found.text.endswith("the linear model beats every network and every fusion.")
    assert "worse than the linear model" in found.text
    better = judged(rows[0], predicting("average", 0.05, seed=1), rows[2])
    assert "beats every network" not in better.text


@pytest.mark.parametrize(
    ("kind", "parts", "said"),
    [
        ("pruned", "concat of mlp x2", "validation is pruned concat of mlp x2;"),
        ("distilled", "mlp of stacking", "validation is distilled mlp of stacking;"),
        ("shared", "mlp x4", "validation is shared of mlp x4;"),
    ],
)
def test_a_row_of_another_row_is_named_in_good_english(kind: str, parts: str, said: str) -> None:
    assert said in judged(predicting(kind, 0.1, parts=parts), predicting("single", 0.2)).text


def test_the_fusion_in_question_is_the_best_by_validation_not_by_test() -> None:
    found = judged(
        predicting("average", 0.25, parts="all 5 members"),
        predicting("single", 0.2, seed=1),
        predicting("concat", 0.05, seed=2),
    )
    assert "average of all 5 members" in found.text and not found.paid


def test_without_a_fusion_there_is_nothing_to_compare() -> None:
    for rows in ([], [predicting("single", 0.1), predicting("linear", 0.2)]):
        assert judged(*rows) == Verdict(False, judged().text)
    skipped = Row("concat", "", skipped="no time was left")
    assert "nothing to compare" in judged(predicting("single", 0.1), skipped).text


@pytest.mark.parametrize("metric", [RMSE, R2])
def test_words_follow_the_direction_of_the_metric(metric: Metric) -> None:
    draw = np.random.default_rng(0)
    target = draw.normal(100, 20, N)
    rows = [Row(kind, kind) for kind in ("concat", "single", "linear")]
    for row, error in zip(rows, (2, 8, 5), strict=True):
        row.test_prediction = target + draw.normal(0, error, N)
        row.test_score = metric.score(target, row.test_prediction)
    found = judged(*rows, metric=metric, target=target)
    assert found.paid and f"{metric.name} [+" in found.text
    assert [row.kind for row in rank_on_test(rows, metric)] == ["concat", "linear", "single"]


def test_rows_of_one_group_are_resampled_together() -> None:
    rows = [predicting("concat", 0.195), predicting("single", 0.2, seed=1)]
    one, few = (
        verdict(rows, metric=LOSS, target=truth(), groups=groups, seed=0)
        for groups in (np.arange(N), np.arange(N) // 200)
    )
    assert one.text != few.text
