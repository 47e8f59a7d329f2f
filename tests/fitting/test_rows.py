from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression

from alnico.fitting import Bench
from alnico.fitting.rows import Row, calibrate, find_leaning
from alnico.structures import Average, Concat
from alnico.types import Task

BINARY = Task("binary", ("no", "yes"))


@pytest.fixture
def outputs() -> torch.Tensor:
    return torch.randn(200, 2)


@pytest.fixture
def target(outputs: torch.Tensor) -> torch.Tensor:
    logit = 2 * (outputs[:, 1] - outputs[:, 0]) + 1
    return torch.bernoulli(logit.sigmoid()).long()


@pytest.fixture
def folds() -> torch.Tensor:
    return torch.arange(200) % 4


def test_predictions_are_those_of_a_logistic_regression_on_the_other_folds(
    outputs, target, folds
) -> None:
    row = Row("mine", "", outputs=outputs)
    calibrate(row, target, folds, BINARY)
    difference = (outputs[:, 1] - outputs[:, 0]).numpy()[:, None]
    for fold in range(4):
        held = (folds == fold).numpy()
        model = LogisticRegression(C=np.inf).fit(difference[~held], target[~held])
        theirs = model.predict_proba(difference[held])
        np.testing.assert_allclose(row.valid_prediction[held], theirs, atol=2e-3)


def test_new_rows_are_calibrated_by_all_folds(outputs, target, folds) -> None:
    row = Row("mine", "", outputs=outputs)
    calibrate(row, target, folds, BINARY)
    difference = (outputs[:, 1] - outputs[:, 0]).numpy()[:, None]
    model = LogisticRegression(C=np.inf).fit(difference, target)
    said = row.calibration(outputs).softmax(-1)
    np.testing.assert_allclose(said, model.predict_proba(difference), atol=2e-3)


def test_a_rows_own_target_never_calibrates_it(outputs, target, folds) -> None:
    predictions = []
    for labels in (target, torch.where(folds == 2, 1 - target, target)):
        row = Row("mine", "", outputs=outputs)
        calibrate(row, labels, folds, BINARY)
        predictions.append(row.valid_prediction)
    held = (folds == 2).numpy()
    assert (predictions[0][held] == predictions[1][held]).all()
    assert (predictions[0][~held] != predictions[1][~held]).all()


def test_a_regression_is_predicted_in_the_targets_units(folds) -> None:
    task = Task("regression", center=50.0, scale=10.0)
    outputs, noise = torch.randn(200, 1), torch.randn(200)
    target = 0.5 * outputs[:, 0] + 0.1 * noise - 0.2
    row = Row("mine", "", outputs=outputs)
    calibrate(row, target, folds, task)
    held = (folds == 1).numpy()
    line = LinearRegression().fit(outputs[~held], target[~held])
    np.testing.assert_allclose(
        row.valid_prediction[held], 50 + 10 * line.predict(outputs[held]), rtol=1e-4
    )
    assert row.valid_prediction.shape == (200,)


def test_a_row_without_outputs_is_left_uncalibrated(target, folds) -> None:
    row = Row("single_refit", "mlp-0.1")
    calibrate(row, target, folds, BINARY)
    assert row.calibration is None and row.valid_prediction is None


def test_its_network_and_parameters_are_those_of_members_and_structure(bench: Bench) -> None:
    nets = tuple(member.net for member in bench.members[:2])
    structure = Concat([16, 16], 2)
    row = Row("concat", "mlp x2", nets, structure)
    one = sum(p.numel() for p in nets[0].module.parameters())
    assert row.n_parameters == row.network.n_parameters == 2 * one + 2 * 32 + 2
    assert Row("single", "mlp", nets[:1]).n_parameters == one
    mean = (bench.members[0].outputs.logits + bench.members[1].outputs.logits) / 2
    with torch.no_grad():
        said = row.network.eval()(bench.valid.inputs)
    torch.testing.assert_close(said, mean, rtol=1e-4, atol=1e-5)


@pytest.fixture
def joined(bench: Bench) -> Row:
    """Three members, the middle one of which alone counts."""
    members = bench.members[:3]
    structure = Average([0.0, 1.0, 0.0], False)
    nets = tuple(member.net for member in members)
    return Row("average", "", nets, structure, names=tuple(m.name for m in members))


def lean(row: Row, said: dict, bench: Bench) -> None:
    find_leaning(row, said, bench.valid, inputs=bench.inputs, task=bench.task)


def test_a_fusion_leans_on_the_only_member_that_it_hears(joined: Row, bench: Bench) -> None:
    lean(joined, {}, bench)
    assert joined.leaning == (0.0, 1.0, 0.0)


def test_what_members_said_already_is_not_asked_again(joined: Row, bench: Bench, monkeypatch):
    from alnico.fitting import members

    lean(joined, {}, bench)
    asked: list[int] = []
    once = members.read_outputs
    monkeypatch.setattr(members, "read_outputs", lambda m, x: asked.append(id(m)) or once(m, x))
    said = {id(m.net.module): m.outputs for m in bench.members[:2]}
    again = replace(joined, leaning=None)
    lean(again, said, bench)
    assert again.leaning == joined.leaning and asked == [id(bench.members[2].net.module)]


def test_what_joins_no_named_members_leans_on_none(joined: Row, bench: Bench) -> None:
    for row in (replace(joined, names=()), Row("single", "", joined.nets[:1])):
        lean(row, {}, bench)
        assert row.leaning is None
