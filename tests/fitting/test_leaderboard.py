from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from sklearn import metrics as theirs

from alnico.data.batches import Rows, take
from alnico.evaluation.metrics import metrics
from alnico.fitting import Bench, kinds
from alnico.fitting.leaderboard import as_records, best_single, open_test, rank
from alnico.fitting.prepare import Prepared
from alnico.fitting.rows import Row, calibrate

LOSS, AUC = metrics["log_loss"], metrics["roc_auc"]


def named(rows: list[Row]) -> list[str]:
    return [row.kind for row in rows]


@pytest.fixture
def unranked() -> list[Row]:
    return [
        Row("single_refit", "mlp-0.1"),
        Row("concat", "", skipped="no time was left"),
        Row("single", "mlp-0.0", valid_score=0.4),
        Row("average", "", valid_score=0.3),
        Row("single", "mlp-0.1", valid_score=0.2),
    ]


def test_the_best_score_comes_first_whichever_way_is_better(unranked: list[Row]) -> None:
    by_loss = ["single", "average", "single", "single_refit", "concat"]
    assert named(rank(unranked, LOSS)) == by_loss == named(rank(unranked, AUC))
    assert [row.valid_score for row in rank(unranked, LOSS)[:3]] == [0.2, 0.3, 0.4]
    assert [row.valid_score for row in rank(unranked, AUC)[:3]] == [0.4, 0.3, 0.2]


def test_the_best_single_network_is_by_validation_and_skips_what_has_none(unranked) -> None:
    assert best_single(rank(unranked, LOSS)).parts == "mlp-0.1"
    assert best_single(rank(unranked, AUC)).parts == "mlp-0.0"
    assert best_single([Row("single", "", skipped="no time"), Row("linear", "")]) is None


@pytest.fixture
def opened(bench: Bench, prepared: Prepared) -> list[Row]:
    """Singles, an average and what was not ranked, scored on the test part."""
    rows = [row for name in ("single", "average", "concat") for row in kinds[name](bench)]
    for row in rows:
        calibrate(row, bench.valid.target, bench.folds, bench.task)
        row.valid_score = LOSS.score(bench.valid.target.numpy(), row.valid_prediction)
    refit = Row("single_refit", "mlp-0.0", rows[0].nets, calibration=rows[0].calibration)
    ranked = rank([*rows, refit, Row("swa", "", skipped="no time was left")], LOSS)
    score(ranked, prepared)
    return ranked


def score(ranked: list[Row], prepared: Prepared) -> None:
    open_test(
        ranked,
        prepared.open_test(),
        inputs=prepared.encoder.inputs,
        task=prepared.task,
        metric=LOSS,
        target=prepared.target[prepared.split.test],
        groups=None,
        seed=0,
    )


def test_test_scores_are_those_of_scikit_learn_on_the_kept_predictions(
    opened: list[Row], prepared: Prepared
) -> None:
    target = prepared.target[prepared.split.test]
    for row in opened[:-1]:
        likely = row.test_prediction
        assert row.test_score == pytest.approx(theirs.log_loss(target, likely))
        assert row.test_scores["log_loss"] == row.test_score
        assert row.test_scores["roc_auc"] == pytest.approx(
            theirs.roc_auc_score(target, likely[:, 1])
        )
        assert row.test_scores["accuracy"] == theirs.accuracy_score(target, likely.argmax(1))
    assert opened[-1].test_score is None and opened[-1].gain is None


def test_predictions_are_the_calibrated_network_on_the_test_rows(
    opened: list[Row], prepared: Prepared
) -> None:
    test = prepared.open_test()
    for row in opened[:-1]:
        with torch.no_grad():
            said = row.calibration(row.network.eval()(test.inputs)).softmax(-1)
        np.testing.assert_allclose(row.test_prediction, said, atol=1e-5)


def test_gains_are_over_the_best_single_network_and_positive_is_better(opened: list[Row]) -> None:
    best = best_single(opened)
    assert (best.gain.estimate, best.gain.low, best.gain.high) == (0, 0, 0)
    for row in opened[:-1]:
        assert row.gain.estimate == pytest.approx(best.test_score - row.test_score)
        assert row.gain.low <= row.gain.estimate <= row.gain.high


def test_scoring_the_test_part_does_not_change_the_order(opened: list[Row]) -> None:
    scores = [row.valid_score for row in opened if row.valid_score is not None]
    assert scores == sorted(scores)
    assert named(opened)[-2:] == ["single_refit", "swa"]


def test_whatever_the_test_labels_are_nothing_but_scores_follows_from_them(
    opened: list[Row], prepared: Prepared
) -> None:
    before = [(row.kind, row.parts, row.test_prediction) for row in opened]
    truth = prepared.target[prepared.split.test]
    kept = [row.test_score for row in opened[:-1]]
    prepared.target[prepared.split.test] = 1 - truth
    try:
        score(opened, prepared)
    finally:
        prepared.target[prepared.split.test] = truth
    for row, (kind, parts, prediction) in zip(opened, before, strict=True):
        assert (row.kind, row.parts) == (kind, parts)
        assert row.skipped or (row.test_prediction == prediction).all()
    assert all(row.test_score > old for row, old in zip(opened, kept, strict=False))


def test_each_member_is_read_once_however_many_rows_it_is_part_of(
    opened: list[Row], bench: Bench, prepared: Prepared, monkeypatch
) -> None:
    from alnico.fitting import members

    read: list[int] = []
    once = members.read_outputs
    monkeypatch.setattr(members, "read_outputs", lambda m, x: read.append(id(m)) or once(m, x))
    score(opened, prepared)
    assert len(read) == len(set(read)) == len(bench.members)


def test_records_are_plain_values_that_number_the_rows(opened: list[Row]) -> None:
    records = json.loads(json.dumps(as_records(opened), allow_nan=False))
    n = len(opened)
    assert [record["row"] for record in records] == [*range(1, n), None]
    assert [record["rank"] for record in records] == [*range(1, n - 1), None, None]
    assert records[0]["test"] == opened[0].test_score
    assert records[0]["gain"] == opened[0].gain.estimate
    assert records[0]["parameters"] == opened[0].n_parameters
    assert records[0]["microseconds_a_row"] > 0
    assert records[-2]["valid"] is None and records[-2]["test"] is not None
    assert records[-1] == {
        **dict.fromkeys(records[-1]),
        "kind": "swa",
        "parts": "",
        "test_scores": {},
        "skipped": "no time was left",
    }


def test_a_score_that_is_not_finite_is_no_score() -> None:
    record = as_records([Row("mine", "", valid_score=math.inf)])[0]
    assert record["valid"] is None and record["gain"] is None


def test_a_test_part_of_one_class_still_has_a_log_loss(bench: Bench, prepared: Prepared) -> None:
    rows = list(kinds["single"](bench))
    for row in rows:
        calibrate(row, bench.valid.target, bench.folds, bench.task)
    test = prepared.open_test()
    index = (test.target == 1).nonzero()[:, 0]
    some = Rows(take(test.inputs, index), test.target[index])
    open_test(
        rows,
        some,
        inputs=prepared.encoder.inputs,
        task=prepared.task,
        metric=LOSS,
        target=some.target.numpy(),
        groups=None,
        seed=0,
    )
    assert "roc_auc" not in rows[0].test_scores
    assert rows[0].test_score == pytest.approx(-np.log(rows[0].test_prediction[:, 1]).mean())
