from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file
from sklearn import metrics

import alnico


@pytest.fixture
def labelled_part(finished: Path, frame: pl.DataFrame, tmp_path: Path) -> Path:
    """The rows of the table that no row of the leaderboard has seen."""
    index = load_file(finished / "predictions.safetensors")["test.index"]
    frame[index].write_csv(tmp_path / "test.csv")
    return tmp_path / "test.csv"


def test_the_rows_of_the_labelled_part_score_as_on_the_leaderboard(
    command: Callable, finished: Path, labelled_part: Path
) -> None:
    rows = json.loads((finished / "run.json").read_text("utf-8"))["rows"]
    for row in rows:
        done = command("evaluate", finished, labelled_part, "--row", row["row"], "--json")
        found = json.loads(done.out)
        assert (done.code, done.err, found["row"]) == (0, "", row["row"])
        assert found["scores"] == pytest.approx(row["test_scores"], abs=1e-6)
        assert found["scores"]["log_loss"] == pytest.approx(row["test"], abs=1e-6)


def test_the_table_shows_what_scikit_learn_computes(
    command: Callable, finished: Path, table: Path, frame: pl.DataFrame
) -> None:
    is_yes = (frame["buys"] == "yes").to_numpy().astype(int)
    chances = alnico.load(finished).predict_proba(table)
    best = chances.argmax(1)
    expected = {
        "log_loss": metrics.log_loss(is_yes, chances),
        "roc_auc": metrics.roc_auc_score(is_yes, chances[:, 1]),
        "average_precision": metrics.average_precision_score(is_yes, chances[:, 1]),
        "accuracy": metrics.accuracy_score(is_yes, best),
        "f1": metrics.f1_score(is_yes, best),
        "brier": metrics.brier_score_loss(is_yes, chances[:, 1]),
    }
    done = command("evaluate", finished, table)
    title, rule, *lines = done.out.splitlines()
    assert title.split() == ["metric", "score"] and set(rule) == {"─"}
    assert dict(line.split() for line in lines) == {k: f"{v:.4f}" for k, v in expected.items()}


def test_labels_of_one_class_leave_out_the_metrics_that_need_two(
    command: Callable, finished: Path, frame: pl.DataFrame, tmp_path: Path
) -> None:
    frame.filter(pl.col("buys") == "no").write_csv(tmp_path / "no.csv")
    done = command("evaluate", finished, tmp_path / "no.csv", "--json")
    scores = json.loads(done.out)["scores"]
    assert done.code == 0 and {"log_loss", "accuracy", "brier"} <= set(scores)
    assert "roc_auc" not in scores and all(np.isfinite(score) for score in scores.values())
