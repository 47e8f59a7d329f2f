from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file
from sklearn.metrics import log_loss

import alnico

ON_ONE_THREAD = """
import sys, torch
from alnico.cli.app import main
torch.set_num_threads(1)
sys.exit(main())
"""


@pytest.fixture
def predict(command: Callable, finished: Path, table: Path, tmp_path: Path) -> Callable:
    """The table that `alnico predict` writes."""

    def call(*words: object, run: Path = finished, new: Path = table) -> pl.DataFrame:
        out = tmp_path / "out.parquet"
        done = command("predict", run, new, "-o", out, "--force", *words)
        assert done.code == 0, done.err
        assert done.out == ""
        return pl.read_parquet(out)

    return call


def rows_of(run: Path) -> list[dict]:
    rows = json.loads((run / "run.json").read_text("utf-8"))["rows"]
    return [row for row in rows if row["skipped"] is None]


def test_rows_are_in_order_with_a_probability_for_each_class(
    predict: Callable, finished: Path, frame: pl.DataFrame
) -> None:
    made = predict()
    assert made.columns == ["prediction", "probability_no", "probability_yes"]
    assert made.height == frame.height
    chances = made.select(pl.selectors.starts_with("probability_")).to_numpy()
    np.testing.assert_allclose(chances.sum(1), 1, rtol=1e-12)
    assert made["prediction"].to_list() == np.array(["no", "yes"])[chances.argmax(1)].tolist()
    index = load_file(finished / "predictions.safetensors")["test.index"]
    hits = (made["prediction"] == frame["buys"]).to_numpy()[index].mean()
    assert hits > max((frame["buys"] == "no").mean(), (frame["buys"] == "yes").mean())


def test_each_row_predicts_by_itself_and_apart_from_the_others(
    predict: Callable, finished: Path, table: Path, frame: pl.DataFrame, tmp_path: Path
) -> None:
    frame.reverse().write_csv(tmp_path / "reversed.csv")
    frame[7:8].write_csv(tmp_path / "one.csv")
    everyone = predict()
    assert_close(predict(new=tmp_path / "reversed.csv").reverse(), everyone)
    assert_close(predict(new=tmp_path / "one.csv"), everyone[7:8])
    assert_close(predict(new=table), everyone)


def assert_close(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    assert found["prediction"].equals(expected["prediction"])
    chances = pl.selectors.float()
    np.testing.assert_allclose(found.select(chances), expected.select(chances), atol=1e-6)


def test_every_row_of_the_leaderboard_predicts_what_it_was_scored_by(
    predict: Callable, finished: Path
) -> None:
    kept = load_file(finished / "predictions.safetensors")
    kinds = set()
    for row in rows_of(finished):
        made = predict("--row", row["row"])
        chances = made.select(pl.selectors.float()).to_numpy()[kept["test.index"]]
        np.testing.assert_allclose(chances, kept[f"test.row.{row['row']}"], atol=1e-6)
        assert log_loss(kept["test.target"], chances) == pytest.approx(row["test"], abs=1e-6)
        kinds.add(row["kind"])
    assert kinds == {
        *("linear", "single", "single_refit", "soup_uniform", "soup_greedy", "soup_learned"),
        *("swa", "ema", "average", "selection", "stacking", "concat", "attention"),
        *("shared", "papa", "pruned", "distilled"),
    }


def test_kept_validation_predictions_give_the_scores_that_rows_are_ranked_by(
    finished: Path, frame: pl.DataFrame
) -> None:
    kept = load_file(finished / "predictions.safetensors")
    is_yes = (frame["buys"] == "yes").to_numpy().astype(int)
    for part in ("valid", "test"):
        np.testing.assert_array_equal(kept[f"{part}.target"], is_yes[kept[f"{part}.index"]])
    assert not set(kept["valid.index"]) & set(kept["test.index"])
    scores = []
    for row in rows_of(finished):
        if row["kind"] == "single_refit":  # learned from these rows, so it has no score on them
            assert row["valid"] is None and f"valid.row.{row['row']}" not in kept
            continue
        chances = kept[f"valid.row.{row['row']}"]
        assert log_loss(kept["valid.target"], chances) == pytest.approx(row["valid"], abs=1e-9)
        scores.append(row["valid"])
    assert scores == sorted(scores)


def test_keep_puts_the_columns_of_the_input_in_front(
    predict: Callable, frame: pl.DataFrame, table: Path
) -> None:
    made = predict("--keep")
    assert made.columns == [*frame.columns, "prediction", "probability_no", "probability_yes"]
    assert made.select("visits", "country", "buys").equals(
        frame.select("visits", "country", "buys")
    )
    assert made.select(pl.selectors.starts_with("p")).equals(predict())


def test_unseen_and_missing_values_are_predicted(
    predict: Callable, frame: pl.DataFrame, tmp_path: Path
) -> None:
    new = frame.drop("buys").with_columns(
        country=pl.lit("Japan"),
        spent=pl.lit(None, pl.Float64),
        member=pl.when(pl.col("member")).then("member"),
        since=pl.lit("2031-01-01T00:00"),
        extra=pl.lit(1),
    )
    for name, write in (("new.csv", new.write_csv), ("new.parquet", new.write_parquet)):
        write(tmp_path / name)
        chances = predict(new=tmp_path / name).select(pl.selectors.float()).to_numpy()
        assert np.isfinite(chances).all()
    unknown = new.with_columns(country=pl.lit(None, pl.String), since=pl.lit(None, pl.String))
    unknown.write_csv(tmp_path / "unknown.csv")
    assert predict(new=tmp_path / "unknown.csv").height == frame.height


def test_the_model_file_is_enough_alone_with_the_record(
    predict: Callable, refused: Callable, run: Path, table: Path, tmp_path: Path
) -> None:
    expected = predict()
    (run / "members.safetensors").unlink()
    (run / "predictions.safetensors").unlink()
    assert predict(run=run).equals(expected)
    words = ("predict", run, table, "-o", tmp_path / "other.csv", "--row", 2)
    assert "is incomplete: members.safetensors is missing" in refused(*words)


def test_another_process_predicts_the_same_bits(
    predict: Callable, finished: Path, table: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.parquet"
    row = next(row["row"] for row in rows_of(finished) if row["kind"] == "attention")
    words = ["predict", finished, table, "-o", other, "--row", row]
    done = subprocess.run(
        [sys.executable, "-c", ON_ONE_THREAD, *map(str, words)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    here = predict("--row", row)
    assert here.equals(pl.read_parquet(other))
    chances = alnico.load(finished, row=row).predict_proba(table)
    assert np.array_equal(chances, here.select(pl.selectors.float()).to_numpy())


def test_the_closing_line_says_what_predicted_unless_quiet(
    command: Callable, finished: Path, table: Path, tmp_path: Path
) -> None:
    done = command("predict", finished, table, "-o", tmp_path / "a.csv")
    best = rows_of(finished)[0]
    how = f"(row 1, {best['kind']} of {best['parts']})"
    assert done.err == f"{tmp_path / 'a.csv'} holds 240 predictions of 'buys' {how}\n"
    assert command("predict", finished, table, "-o", tmp_path / "b.csv", "-q").err == ""
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
