from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from alnico.data.batches import Rows
from alnico.data.table import read_table
from alnico.fitting import Options
from alnico.fitting.linear import STRENGTHS, design_matrix, fit_linear
from alnico.fitting.prepare import Prepared, prepare
from alnico.types import Inputs


def ours(prepared: Prepared) -> torch.nn.Module:
    inputs, task = prepared.encoder.inputs, prepared.task
    return fit_linear(prepared.train, prepared.valid, inputs=inputs, task=task).module


def said(prepared: Prepared) -> np.ndarray:
    with torch.no_grad():
        return ours(prepared)(prepared.valid.inputs).numpy()


def log1p() -> FunctionTransformer:
    return FunctionTransformer(lambda x: np.sign(x) * np.log1p(np.abs(x)))


def test_two_classes_equal_the_pipeline_of_scikit_learn(
    prepared: Prepared, shop: pl.DataFrame
) -> None:
    numbers = make_pipeline(
        log1p(), StandardScaler(), SimpleImputer(strategy="constant", fill_value=0)
    )
    columns = ColumnTransformer(
        [
            ("numbers", numbers, ["visits", "age"]),
            ("missing", MissingIndicator(), ["age"]),
            ("levels", OneHotEncoder(handle_unknown="ignore"), ["country"]),
        ]
    )
    frame = shop.with_columns(pl.col("age").fill_null(float("nan"))).to_pandas()
    train, valid = (frame.iloc[part] for part in (prepared.split.train, prepared.split.valid))
    fits = []
    for strength in STRENGTHS:
        model = make_pipeline(columns, LogisticRegression(C=strength, max_iter=500, tol=1e-6))
        model.fit(train, train["buys"])
        loss = log_loss(valid["buys"] == "yes", model.predict_proba(valid)[:, 1])
        fits.append((loss, strength, model.decision_function(valid)))
    logits = said(prepared)
    np.testing.assert_allclose(logits[:, 0], 0)
    np.testing.assert_allclose(logits[:, 1], min(fits)[2], atol=5e-3)


def test_three_classes_equal_scikit_learn_on_the_same_numbers() -> None:
    data = load_iris(as_frame=True).frame
    prepared = prepare(read_table(data), Options(target="target"))
    split = prepared.split
    x, y = data.iloc[:, :4].to_numpy(), data["target"].to_numpy()
    fits = []
    for strength in STRENGTHS:
        model = make_pipeline(log1p(), StandardScaler(), LogisticRegression(C=strength, tol=1e-6))
        model.fit(x[split.train], y[split.train])
        likely = model.predict_proba(x[split.valid])
        fits.append((log_loss(y[split.valid], likely), strength, likely))
    logits = torch.from_numpy(said(prepared))
    np.testing.assert_allclose(logits.softmax(-1), min(fits)[2], atol=5e-3)


def test_a_regression_equals_ridge_in_the_targets_own_units() -> None:
    data = load_diabetes(as_frame=True).frame.astype({"sex": str})
    prepared = prepare(read_table(data), Options(target="target", category=("sex",)))
    split = prepared.split
    numbers = [name for name in data.columns if name not in ("sex", "target")]
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(log1p(), StandardScaler()), numbers),
            ("levels", OneHotEncoder(), ["sex"]),
        ]
    )
    train, valid = data.iloc[split.train], data.iloc[split.valid]
    fits = []
    for strength in STRENGTHS:
        model = make_pipeline(columns, Ridge(1 / strength)).fit(train, train["target"])
        values = model.predict(valid)
        fits.append((float(((values - valid["target"]) ** 2).mean()), strength, values))
    values = said(prepared)[:, 0] * prepared.task.scale + prepared.task.center
    np.testing.assert_allclose(values, min(fits)[2], atol=0.05)


def test_the_design_is_the_batch_spread_out_column_by_column() -> None:
    inputs = Inputs(numbers=2, missing=1, categories=(3, 2), words=5, bag=6)
    batch = {
        "log": torch.randn(4, 2),
        "missing": torch.tensor([[0.0], [1.0], [0.0], [0.0]]),
        "categories": torch.tensor([[0, 1], [2, 0], [1, 1], [2, 1]]),
        "bag": torch.tensor([[1, 5, 0], [2, 2, 3], [0, 0, 0], [4, 0, 0]]),
        "bag_weight": torch.tensor([[0.5, 0.4, 0], [0.1, 0.2, 0.3], [0, 0, 0], [1, 0, 0]]),
    }
    expected = np.zeros((4, 3 + 5 + 6))
    for row in range(4):
        expected[row, :2] = batch["log"][row]
        expected[row, 2] = batch["missing"][row, 0]
        expected[row, 3 + batch["categories"][row, 0]] = 1
        expected[row, 6 + batch["categories"][row, 1]] = 1
        for term, weight in zip(batch["bag"][row], batch["bag_weight"][row], strict=True):
            expected[row, 8 + term] += weight
    np.testing.assert_allclose(design_matrix(batch, inputs).toarray(), expected, atol=1e-7)


def test_text_alone_is_learned_from_its_weighted_terms(reviewed: pl.DataFrame) -> None:
    prepared = prepare(read_table(reviewed.select("words", "buys")), Options(target="buys"))
    inputs = prepared.encoder.inputs
    design = design_matrix(prepared.train.inputs, inputs)
    held = design_matrix(prepared.valid.inputs, inputs)
    target = prepared.train.target.numpy()
    models = [LogisticRegression(C=c, max_iter=500).fit(design, target) for c in STRENGTHS]
    best = min(models, key=lambda m: log_loss(prepared.valid.target, m.predict_proba(held)))
    logits = said(prepared)
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], best.decision_function(held), atol=1e-4)


def test_the_validation_part_chooses_the_penalty_and_fits_nothing(prepared: Prepared) -> None:
    flipped = Rows(prepared.valid.inputs, 1 - prepared.valid.target)
    usual = ours(prepared).numbers.norm()
    other = ours(replace(prepared, valid=flipped)).numbers.norm()
    assert other < usual  # nothing helps on turned labels, so the strongest penalty is chosen
    strongest = LogisticRegression(C=min(STRENGTHS)).fit(
        design_matrix(prepared.train.inputs, prepared.encoder.inputs), prepared.train.target
    )
    n = prepared.encoder.inputs.numbers + prepared.encoder.inputs.missing
    expected = float(np.linalg.norm(strongest.coef_[0, :n]))
    assert other.item() == pytest.approx(expected, rel=1e-2)
