from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError as TheirNotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import cross_val_score, cross_validate
from sklearn.utils.validation import check_is_fitted

import alnico
from alnico import FusionClassifier, FusionRegressor
from alnico.errors import DataError, NotFittedError, OutputError, RecipeError, UnknownNameError

TINY: dict[str, Any] = {"architectures": "dcn", "kinds": "average", "optimisers": "adam"}
SPECIES = np.array(["setosa", "versicolor", "virginica"])


@pytest.fixture(scope="module")
def irises() -> tuple[pd.DataFrame, pd.Series]:
    data = load_iris(as_frame=True)
    return data.data, data.target.map(dict(enumerate(SPECIES))).rename("species")


@pytest.fixture(scope="module")
def model(irises) -> FusionClassifier:
    torch.set_num_threads(1)
    return FusionClassifier(**TINY).fit(*irises)


@pytest.fixture
def arrays() -> tuple[np.ndarray, np.ndarray]:
    return load_iris(return_X_y=True)


def test_pandas_frames_of_named_columns_are_learned_and_predicted(model, irises) -> None:
    X, y = irises
    said = model.predict(X)
    assert accuracy_score(y, said) > 0.9 and set(said) == set(SPECIES)
    likely = model.predict_proba(X)
    np.testing.assert_allclose(likely.sum(1), 1)
    assert (model.classes_[likely.argmax(1)] == said).all()
    assert model.classes_.tolist() == SPECIES.tolist()
    assert model.n_features_in_ == 4
    assert model.score(X, y) == accuracy_score(y, said)


def test_arrays_are_learned_and_labels_keep_their_type(arrays) -> None:
    X, y = arrays
    model = FusionClassifier(**TINY).fit(X, y)
    said = model.predict(X)
    assert said.dtype == y.dtype and accuracy_score(y, said) > 0.9
    objects = FusionClassifier(**TINY).fit(X.astype(object), y)
    assert (objects.predict(X.astype(object)) == said).all()


def test_polars_frames_and_two_classes(arrays) -> None:
    X, y = arrays
    frame = pl.DataFrame(X, schema=["a", "b", "c", "target"])  # a feature called like the target
    model = FusionClassifier(**TINY).fit(frame, pl.Series("target", y == 2))
    assert model.classes_.tolist() == [False, True]
    assert accuracy_score(y == 2, model.predict(frame)) > 0.9


def test_a_classifier_takes_numbers_as_classes_however_many_there_are() -> None:
    draw = np.random.default_rng(0)
    y = np.repeat(np.arange(30), 10)
    X = np.stack([y + draw.normal(0, 0.1, 300), draw.normal(size=300)], 1)
    model = FusionClassifier(**TINY).fit(X, y)
    assert model.classes_.tolist() == list(range(30))
    with pytest.raises(DataError, match="classes with fewer than 5 rows"):
        FusionClassifier(**TINY).fit(X, X[:, 0])


def test_a_regressor_takes_classes_as_numbers_and_has_none_itself() -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = FusionRegressor(**TINY).fit(X, y)
    assert model.score(X, y) == pytest.approx(r2_score(y, model.predict(X)))
    assert model.score(X, y) > 0.3
    assert not hasattr(model, "classes_") and not hasattr(model, "predict_proba")
    counted = FusionRegressor(**TINY, metric="mae").fit(X[:100], np.arange(100) % 3)
    assert counted.predict(X[:5]).dtype.kind == "f"
    assert counted.leaderboard_.metric == "mae"


def test_the_leaderboard_is_a_list_of_rows_that_prints_as_a_table(model) -> None:
    board = model.leaderboard_
    assert [row["kind"] for row in board].count("single") == 2
    assert {"linear", "average"} < {row["kind"] for row in board}
    text = str(board)
    assert max(map(len, text.splitlines())) <= 84
    assert text.splitlines()[0].split()[:3] == ["#", "kind", "params"]
    assert "log_loss" in text and "average" in text
    assert model.verdict_.startswith("Fusing ")


def test_a_saved_run_predicts_the_same_bits(model, irises, tmp_path: Path) -> None:
    X, _ = irises
    assert model.save(tmp_path / "run") == tmp_path / "run"
    again = alnico.load(tmp_path / "run")
    assert (again.predict_proba(X) == model.predict_proba(X)).all()
    assert (again.predict(X) == model.predict(X)).all()


def test_a_run_that_is_there_is_replaced_only_by_force(model, tmp_path: Path) -> None:
    model.save(tmp_path / "run")
    with pytest.raises(OutputError, match="run"):
        model.save(str(tmp_path / "run"))
    model.save(tmp_path / "run", force=True)


def test_before_it_is_fitted_it_says_so_to_both_kinds_of_callers(irises, tmp_path) -> None:
    X, _ = irises
    model = FusionClassifier()
    calls = [
        lambda: model.predict(X),
        lambda: model.predict_proba(X),
        lambda: model.save(tmp_path / "run"),
        lambda: FusionRegressor().predict(X),
    ]
    for call in calls:
        with pytest.raises(NotFittedError, match=r"is not fitted yet(.|\n)*call fit"):
            call()
    assert not hasattr(model, "classes_") and not list(tmp_path.iterdir())
    with pytest.raises(TheirNotFittedError):
        check_is_fitted(model)


def test_scikit_learn_knows_what_it_is(model) -> None:
    check_is_fitted(model)
    assert is_classifier(model) and not is_regressor(model)
    assert is_regressor(FusionRegressor()) and not is_classifier(FusionRegressor())
    assert sklearn.utils.get_tags(model).input_tags.allow_nan


def test_parameters_are_those_of_the_constructor() -> None:
    model = FusionClassifier(time_limit="5m", drop=["id"])
    names = set(model.get_params())
    assert {"time_limit", "metric", "random_state", "text", "drop", "kinds", "optimisers"} <= names
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(random_state=7) is model and model.random_state == 7
    assert repr(model) == "FusionClassifier(time_limit='5m', random_state=7, drop=['id'])"
    with pytest.raises(RecipeError, match=r"no parameter 'time_limt'(.|\n)*'time_limit'"):
        model.set_params(random_state=8, time_limt=5)
    assert model.random_state == 7  # all of them, or none


def test_scikit_learn_can_cross_validate_it(irises) -> None:
    X, y = irises
    scores = cross_val_score(FusionClassifier(**TINY), X, y, cv=2)
    assert scores.shape == (2,) and scores.min() > 0.8
    scorers = ["accuracy", "neg_log_loss"]
    found = cross_validate(FusionClassifier(**TINY), X, y, cv=2, scoring=scorers)
    assert (found["test_accuracy"] == scores).all()
    assert found["test_neg_log_loss"].min() > -0.5


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda X, y: (X, y[:-1]), "X has 150 rows and y has 149"),
        (lambda X, y: (X[:, 0], y), "rows and columns, got an array of 1 axes"),
        (lambda X, y: (X, y[:, None]), "one value a row, got 2 axes"),
        (lambda X, y: (X, np.zeros(150)), "constant"),
        (lambda X, y: (X, [None, *y[1:]]), "missing in 1 of 150"),
        (lambda X, y: (X, [1, *"ab" * 74, 2]), "target holds values of several types|classes with"),
        (lambda X, y: (X, np.array([1, *["b"] * 149], object)), "values of several types"),
        (lambda X, y: (np.where(X > 7, np.inf, X), y), "infinite"),
        (lambda X, y: ({"a": 1}, y), "not tables"),
    ],
)
def test_bad_data_is_one_clear_error(arrays, change, text: str) -> None:
    X, y = change(*arrays)
    with pytest.raises(DataError, match=text):
        FusionClassifier(**TINY).fit(X, y)


@pytest.mark.parametrize(
    ("asked", "error", "text"),
    [
        ({"metric": "acuracy"}, UnknownNameError, "did you mean 'accuracy'"),
        ({"time_limit": "soon"}, RecipeError, "write it as 90s, 5m or 1.5h"),
        ({"random_state": None}, RecipeError, "seed must be a whole number"),
        ({"kinds": "concatt"}, UnknownNameError, "did you mean 'concat'"),
        ({"drop": "x9"}, UnknownNameError, "x9"),
    ],
)
def test_bad_parameters_are_found_before_training(arrays, asked, error, text: str) -> None:
    with pytest.raises(error, match=text):
        FusionClassifier(**{**TINY, **asked}).fit(*arrays)


def test_prediction_needs_the_columns_that_were_learned(model, irises) -> None:
    with pytest.raises(DataError, match="petal width"):
        model.predict(irises[0].drop(columns="petal width (cm)"))


@pytest.mark.parametrize("kind", ["category", "string", "object"])
def test_labels_of_every_make_of_pandas_are_taken(irises, kind: str) -> None:
    X, y = irises
    model = FusionClassifier(**TINY).fit(X, y.astype(kind))
    assert accuracy_score(y, model.predict(X)) > 0.9


def test_an_interrupt_keeps_the_best_so_far_and_warns(irises, monkeypatch, tmp_path) -> None:
    from alnico.fitting import fit

    def ctrl_c(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fit, "open_test", ctrl_c)
    X, y = irises
    with pytest.warns(UserWarning, match="interrupted: the best so far is kept"):
        model = FusionClassifier(**TINY).fit(X, y)
    assert accuracy_score(y, model.predict(X)) > 0.9
    assert all(row["test"] is None for row in model.leaderboard_) and model.verdict_ == ""
    assert "the test part is still shut" in str(model.leaderboard_)
    model.save(tmp_path / "run")
    assert (alnico.load(tmp_path / "run").predict(X) == model.predict(X)).all()
    monkeypatch.setattr(fit, "train_group", ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        FusionClassifier(**TINY).fit(X, y)
