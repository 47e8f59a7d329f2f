from __future__ import annotations

import copy
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import log_loss, root_mean_squared_error

import alnico
from alnico.data.table import read_table
from alnico.errors import AlnicoError, DataError, RecipeError, RunFolderError
from alnico.fitting import Fitted, Options, fit_table, save_run
from alnico.fitting.predicts import Predicts
from alnico.predicting import Predictor, labels, prediction
from alnico.runs import MEMBERS, RUN, Run, read_run
from alnico.types import Task


def shop(n: int = 240, seed: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    visits, country = draw.gamma(2, 3, n), draw.choice(["de", "fr"], n)
    logit = np.log(visits) * 2 - 3 + (country == "fr")
    buys = draw.random(n) < 1 / (1 + np.exp(-logit))
    return pl.DataFrame({"visits": visits, "country": country, "buys": buys})


def fit(frame: pl.DataFrame, target: str) -> Fitted:
    torch.set_num_threads(1)
    kinds, schemes = ("average", "concat"), ("apart",)
    options = Options(target=target, architectures=("dcn",), kinds=kinds, together=schemes)
    return fit_table(read_table(frame), options)


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit(shop(), "buys")


@pytest.fixture(scope="module")
def run(fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    save_run(folder, fitted)
    return folder


@pytest.fixture(scope="module")
def model(run: Path) -> Predictor:
    return alnico.load(run)


@pytest.fixture
def new() -> pl.DataFrame:
    return shop(50, seed=1).drop("buys")


def test_frames_of_both_libraries_and_files_are_predicted_alike(model, new, tmp_path) -> None:
    new.write_csv(tmp_path / "new.csv")
    new.write_parquet(tmp_path / "new.parquet")
    expected = model.predict_proba(new)
    assert expected.shape == (50, 2)
    np.testing.assert_allclose(expected.sum(1), 1)
    for table in (new.to_pandas(), tmp_path / "new.csv", str(tmp_path / "new.parquet")):
        assert (model.predict_proba(table) == expected).all()
    labelled = new.with_columns(buys=pl.Series([True] * 50), other=pl.Series(range(50)))
    assert (model.predict_proba(labelled.select(reversed(labelled.columns))) == expected).all()


def test_the_likeliest_class_is_predicted_in_the_users_own_type(model, new) -> None:
    said = model.predict(new)
    assert said.dtype == bool and said.shape == (50,)
    assert (said == (model.predict_proba(new)[:, 1] > 0.5)).all()


@pytest.mark.parametrize(
    ("classes", "dtype"),
    [(("no", "yes"), "U"), ((3, 7), "i"), ((False, True), "b"), ((0.5, 1.5), "f")],
)
def test_labels_have_the_type_of_the_classes(classes, dtype: str) -> None:
    scores = np.array([[0.2, 0.8], [0.9, 0.1]])
    found = labels(scores, Task("binary", classes))
    assert found.dtype.kind == dtype and found.tolist() == [classes[1], classes[0]]


def test_outputs_become_probabilities_or_numbers_in_the_targets_units() -> None:
    logits = torch.tensor([[0.0, np.log(3)], [0.0, 0.0]])
    np.testing.assert_allclose(
        prediction(logits, Task("binary", (0, 1))), [[0.25, 0.75], [0.5, 0.5]]
    )
    task = Task("regression", center=100.0, scale=20.0)
    values = prediction(torch.tensor([[1.0], [-0.5]]), task)
    assert values.tolist() == [120.0, 90.0] and labels(values, task) is values


def rows_of(run: Path) -> list[dict[str, Any]]:
    """The rows of a run that can predict."""
    return [row for row in read_run(run).record["rows"] if row["row"] is not None]


def test_every_row_of_the_leaderboard_can_predict_by_its_number(run, model, new) -> None:
    numbers = [row["row"] for row in rows_of(run)]
    assert len(numbers) >= 4
    first = alnico.load(run, row=1)
    assert (first.predict_proba(new) == model.predict_proba(new)).all()
    other = alnico.load(run, row=numbers[-1])
    assert other.row["row"] == numbers[-1]
    assert (other.predict_proba(new) != model.predict_proba(new)).any()
    kept = read_run(run).tensors("predictions.safetensors")
    index = kept["test.index"].numpy()
    for number in numbers:
        said = alnico.load(run, row=number).predict_proba(shop()[index])
        np.testing.assert_allclose(said, kept[f"test.row.{number}"], atol=1e-6)


def test_the_row_that_the_run_has_chosen_predicts_when_none_is_named(
    fitted: Fitted, run: Path, new, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    save_run(folder, replace(fitted, predicts=Predicts(3, "It was chosen.")))
    model = alnico.load(folder)
    assert model.row["row"] == 3
    assert (model.predict_proba(new) == alnico.load(run, row=3).predict_proba(new)).all()
    first = alnico.load(folder, row=1)
    assert first.row["row"] == 1
    assert (first.predict_proba(new) == alnico.load(run).predict_proba(new)).all()
    (folder / MEMBERS).unlink()  # the model file alone is enough for the row that is chosen
    assert (alnico.load(folder).predict_proba(new) == model.predict_proba(new)).all()
    with pytest.raises(RunFolderError, match="members"):
        alnico.load(folder, row=1)


def test_a_run_that_was_written_before_rows_were_chosen_predicts_with_the_first(run, new) -> None:
    whole = read_run(run)
    without = {key: value for key, value in whole.record.items() if key != "predicts"}
    for record in (without, {**without, "predicts": None}):
        model = Predictor.of(Run(whole.folder, record, whole.files))
        assert model.row["row"] == 1
        assert (model.predict_proba(new) == alnico.load(run).predict_proba(new)).all()


@pytest.mark.parametrize("row", [0, -1, 99])
def test_a_row_that_is_not_there_is_refused(run: Path, row: int) -> None:
    with pytest.raises(RecipeError, match=rf"no row {row}(.|\n)*rows are 1 to"):
        alnico.load(run, row=row)


def test_a_predicted_table_keeps_the_order_of_its_rows(model, new) -> None:
    made = model.as_frame(new)
    assert made.columns == ["prediction", "probability_False", "probability_True"]
    assert made["prediction"].to_list() == model.predict(new).tolist()
    kept = model.as_frame(new, keep=True)
    assert kept.columns == [*new.columns, *made.columns]
    assert kept.select(new.columns).equals(new)
    backwards = model.as_frame(new.reverse())
    np.testing.assert_allclose(
        backwards["probability_True"].to_numpy()[::-1], made["probability_True"], atol=1e-6
    )


def test_columns_of_the_input_are_not_written_over(model, new) -> None:
    clash = new.with_columns(prediction=pl.lit(1))
    with pytest.raises(RecipeError, match="columns named like predictions: prediction"):
        model.as_frame(clash, keep=True)
    assert model.as_frame(clash).width == 3


def test_a_labelled_table_is_evaluated_by_every_metric(model) -> None:
    labelled = shop(80, seed=2)
    found = model.evaluate(labelled)
    assert set(found) == {"log_loss", "roc_auc", "average_precision", "accuracy", "f1", "brier"}
    theirs = log_loss(labelled["buys"], model.predict_proba(labelled))
    assert found["log_loss"] == pytest.approx(theirs)
    written = labelled.with_columns(pl.col("buys").cast(pl.String))
    assert model.evaluate(written) == found


def test_evaluating_needs_the_target(model, new) -> None:
    with pytest.raises(DataError, match="no column 'buys' to evaluate against"):
        model.evaluate(new)
    with pytest.raises(DataError, match="no class in training"):
        model.evaluate(new.with_columns(buys=pl.lit("maybe")))


def test_what_new_rows_may_lack_and_what_not(model, new) -> None:
    strange = new.with_columns(country=pl.lit("xx"), visits=pl.lit(None, pl.Float64))
    assert np.isfinite(model.predict_proba(strange)).all()
    with pytest.raises(DataError, match="visits"):
        model.predict(new.drop("visits"))
    with pytest.raises(DataError, match="visits"):
        model.predict(new.with_columns(visits=pl.lit("many")))


def test_a_regression_predicts_numbers_and_has_no_probabilities(tmp_path: Path) -> None:
    frame = shop(200).with_columns(spent=pl.col("visits").log() * 30 + 200).drop("buys")
    save_run(tmp_path / "run", fit(frame, "spent"))
    model = alnico.load(tmp_path / "run")
    said = model.predict(frame)
    assert root_mean_squared_error(frame["spent"], said) < 0.5 * frame["spent"].std()
    assert model.as_frame(frame).columns == ["prediction"]
    assert model.evaluate(frame)["rmse"] == pytest.approx(
        root_mean_squared_error(frame["spent"], said), rel=1e-4
    )
    with pytest.raises(RecipeError, match="no probabilities"):
        model.predict_proba(frame)


@pytest.mark.slow
def test_another_process_predicts_the_same_bits(run: Path, model, new, tmp_path: Path) -> None:
    new.write_parquet(tmp_path / "new.parquet")
    code = (
        "import sys, torch, alnico; torch.set_num_threads(1)\n"
        "print(alnico.load(sys.argv[1]).predict_proba(sys.argv[2]).tobytes().hex())"
    )
    command = [sys.executable, "-c", code, str(run), str(tmp_path / "new.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == model.predict_proba(new).tobytes().hex()


def test_what_is_no_run_folder_or_was_changed_is_refused(run: Path, tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(RunFolderError):
            alnico.load(place)
    record = json.loads((run / RUN).read_text())
    changed = tmp_path / "changed"
    changed.mkdir()
    for path in run.iterdir():
        (changed / path.name).write_bytes(path.read_bytes())
    (changed / RUN).write_text(json.dumps({**record, "metric": "roc_auc"}))
    with pytest.raises(RunFolderError, match="was changed"):
        alnico.load(changed)


READ = {
    "task": ["kind", "classes", "center", "scale"],
    "options": ["target"],
    "rows.0": ["row", "networks", "structure"],
    "networks.0": ["name", "encoding", "depth", "width", "activation", "dropout"],
    "encoder": ["schema", "missing", "levels", "vocabulary"],
    "encoder.schema": ["columns", "dropped", "target"],
    "predicts": ["row"],
    "": ["task", "rows", "networks", "encoder", "options", "metric", "predicts"],
}
"""Where prediction reads the record, and what."""

GONE = object()


@pytest.mark.parametrize(
    "value", [GONE, None, "x", [], {}, 7, [7], -1], ids=[f"fault{i}" for i in range(8)]
)
def test_a_record_of_another_make_is_an_error_that_says_so(run: Path, value: object) -> None:
    whole = read_run(run)
    for place, keys in READ.items():
        for key in keys:
            record: Any = copy.deepcopy(dict(whole.record))
            part = record
            for step in filter(None, place.split(".")):
                part = part[int(step) if step.isdigit() else step]
            part[key] = value
            if value is GONE:
                del part[key]
            try:
                Predictor.of(Run(whole.folder, record, whole.files))
            except AlnicoError as error:
                assert str(error)
            except Exception as error:  # it would be taken for a bug of ours
                pytest.fail(f"{place}.{key}: {error!r}")
