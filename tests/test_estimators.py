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
from torch import Tensor, nn

import alnico
from alnico import FusionClassifier, FusionRegressor
from alnico.errors import (
    DataError,
    IncompatibleModelsError,
    NotFittedError,
    OutputError,
    RecipeError,
    RunFolderError,
    UnknownNameError,
)
from alnico.runs import read_run

TINY: dict[str, Any] = {
    "architectures": "dcn",
    "kinds": "average",
    "optimisers": "adam",
    "together": "apart",
}
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
    kind = board[0]["kind"]
    assert model.predicts_ == f"Row 1, {kind}, predicts: it is best by validation."


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
    assert {"trials", "together", "start_from", "members", "architectures"} <= names
    assert clone(model).get_params() == model.get_params()
    searching = FusionRegressor(trials=3, together=("papa",), start_from=Path("run"))
    assert clone(searching).get_params() == searching.get_params()
    assert repr(searching) == (
        f"FusionRegressor(trials=3, together=('papa',), start_from={Path('run')!r})"
    )
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
        ({"trials": -1}, RecipeError, "trials must be a whole number from 0, got -1"),
        ({"trials": 2.0}, RecipeError, "trials must be a whole number from 0, got 2.0"),
        ({"together": "sharde"}, UnknownNameError, "did you mean 'shared'"),
        ({"start_from": "nowhere"}, RunFolderError, "nowhere is not there"),
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
    from alnico.fitting import fit, train

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
    monkeypatch.setattr(train, "train_group", ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        FusionClassifier(**TINY).fit(X, y)


def perceptron(X: np.ndarray, y: np.ndarray, *, n_outputs: int, mean: float = 0.0) -> nn.Module:
    """A network of the user's own making, trained on every other row as they are."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(X.shape[1], 16), nn.ReLU(), nn.Linear(16, n_outputs))
    module[-1].bias.data.add_(mean)
    rows, target = torch.from_numpy(X[::2]).float(), torch.from_numpy(y[::2])
    loss = nn.CrossEntropyLoss() if n_outputs > 1 else nn.MSELoss()
    target = target if n_outputs > 1 else target.float()[:, None]
    optimiser = torch.optim.Adam(module.parameters(), 0.02)
    for _ in range(150):
        optimiser.zero_grad()
        loss(module(rows), target).backward()
        optimiser.step()
    return module.eval()


class Wrapped(nn.Module):
    """A class of the user's own, which no run folder can hold."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.module(x)
        return out


def test_modules_of_the_users_own_are_members(arrays, tmp_path: Path) -> None:
    X, y = arrays
    mine = perceptron(X, y, n_outputs=3)
    before = [p.clone() for p in mine.parameters()]
    model = clone(FusionClassifier(**TINY, members=[mine])).fit(X, y)
    rows = [row["parts"] for row in model.leaderboard_]
    assert "given-0" in rows and "all 3 members" in rows
    assert all(map(torch.equal, mine.parameters(), before)), "a member was trained further"
    record = read_run(model.save(tmp_path / "run")).record
    number, parts = next((r["row"], r) for r in record["rows"] if r["parts"] == "given-0")
    frame = pl.DataFrame(X, schema=["x0", "x1", "x2", "x3"])
    said = alnico.load(tmp_path / "run", row=number).predict_proba(frame)
    with torch.no_grad():
        plain = mine(torch.from_numpy(X).float()).softmax(-1).numpy()
    assert (said.argmax(1) == plain.argmax(1)).mean() > 0.97  # calibration moves a few
    assert parts["parameters"] == sum(p.numel() for p in mine.parameters())
    assert (alnico.load(tmp_path / "run").predict_proba(frame) == model.predict_proba(X)).all()
    later = FusionClassifier(**TINY, start_from=tmp_path / "run").fit(X, y)
    assert "given-0 (earlier)" in [row["parts"] for row in later.leaderboard_]


def test_a_class_of_the_users_own_predicts_here_and_cannot_be_saved(arrays, tmp_path) -> None:
    X, y = arrays
    mine = perceptron(X, y, n_outputs=3)
    wrapped = FusionClassifier(**TINY, members=[Wrapped(mine)]).fit(X, y)
    plain = FusionClassifier(**TINY, members=[mine]).fit(X, y)
    assert (wrapped.predict_proba(X) == plain.predict_proba(X)).all()
    with pytest.raises(RecipeError, match=r"given-0: .* your own classes\n  help: .*Sequential"):
        wrapped.save(tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_members_of_a_regression_speak_in_the_targets_units() -> None:
    X, y = load_diabetes(return_X_y=True)
    mine = perceptron(X * 20, y, n_outputs=1, mean=150.0)
    model = FusionRegressor(**TINY, members=[mine]).fit(X * 20, y)
    row = next(row for row in model.leaderboard_ if row["parts"] == "given-0")
    with torch.no_grad():
        said = mine(torch.from_numpy(X * 20).float())[:, 0].numpy()
    assert row["test_scores"]["rmse"] == pytest.approx(np.sqrt(np.mean((said - y) ** 2)), rel=0.15)
    with pytest.raises(IncompatibleModelsError, match=r"member 0 says \[.*, 3\] of .* wants"):
        FusionRegressor(**TINY, members=[nn.Linear(10, 3)]).fit(X, y)


def test_members_need_numbers_alone(irises) -> None:
    X, y = irises
    named = X.assign(colour=np.where(np.arange(150) % 3, "blue", "red"))
    with pytest.raises(DataError, match=r"these columns are none: colour(.|\n)*drop="):
        FusionClassifier(**TINY, members=[nn.Linear(4, 3)]).fit(named, y)
    with pytest.raises(DataError, match=r"some are missing: sepal width"):
        holed = X.assign(**{"sepal width (cm)": X["sepal width (cm)"].where(X.index != 7)})
        FusionClassifier(**TINY, members=[nn.Linear(4, 3)]).fit(holed, y)


def test_a_search_with_a_seed_repeats_itself(arrays) -> None:
    X, y = arrays
    one, again = (FusionClassifier(**TINY, trials=2).fit(X, y) for _ in range(2))
    times = ("fit_seconds", "microseconds_a_row")
    boards = [
        [{k: v for k, v in row.items() if k not in times} for row in model.leaderboard_]
        for model in (one, again)
    ]
    assert boards[0] == boards[1]
    assert (one.predict_proba(X) == again.predict_proba(X)).all()
    families = {row["parts"].split(".")[0] for row in boards[0] if row["kind"] == "single"}
    assert families == {"dcn-0", "dcn-1", "dcn-2"}


def test_no_row_that_a_member_was_trained_on_judges_it_however_early_that_was(
    tmp_path: Path,
) -> None:
    draw = np.random.default_rng(0)
    X = draw.normal(size=(400, 3)).round(6)
    y = X[:, 0] + draw.normal(size=400) > 0
    months = [slice(0, 120), slice(120, 240), slice(0, 400)]
    known: set[tuple[float, ...]] = set()
    for i, month in enumerate(months):
        start = tmp_path / f"run{i - 1}" if i else None
        model = FusionClassifier(**TINY, random_state=i, start_from=start).fit(X[month], y[month])
        run = read_run(model.save(tmp_path / f"run{i}"))
        kept = run.tensors("predictions.safetensors")
        judges = [*kept["valid.index"].tolist(), *kept["test.index"].tolist()]
        rows = [tuple(row) for row in X[month]]
        assert not known & {rows[j] for j in judges}
        if i < 2:
            known |= {row for j, row in enumerate(rows) if j not in set(judges)}
    assert len(known) > 120 and len(judges) > 40
