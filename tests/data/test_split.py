from __future__ import annotations

from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from alnico import progress
from alnico.data.split import Split, make_folds, split_rows
from alnico.errors import DataError


def parts_of(split: Split) -> list[np.ndarray]:
    parts = [split.train, split.valid, split.test]
    for part in parts:
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()
    return parts


def classes(n: int, *shares: float) -> np.ndarray:
    return np.random.default_rng(1).choice(len(shares), size=n, p=shares).astype(np.int64)


def by_class(target: np.ndarray, **how: Any) -> Split:
    return split_rows(target, is_classification=True, seed=0, **how)


def test_every_class_is_cut_60_20_20() -> None:
    target = classes(1_003, 0.9, 0.07, 0.03)
    split = by_class(target)
    assert sorted(np.concatenate(parts_of(split))) == list(range(1_003))
    for number, n in enumerate(np.bincount(target)):
        for part, share in zip(parts_of(split), (0.6, 0.2, 0.2), strict=True):
            assert abs((target[part] == number).sum() - share * n) <= 1
    assert split.how == "60 / 20 / 20 by class, seed 0"


def test_five_rows_of_a_class_reach_every_part() -> None:
    target = np.repeat([0, 1, 2], [5, 5, 5])
    split = by_class(target)
    assert [np.bincount(target[p]).tolist() for p in parts_of(split)] == [[3] * 3, [1] * 3, [1] * 3]


def test_a_number_is_cut_alike_in_every_tenth() -> None:
    target = np.random.default_rng(0).lognormal(0, 2, 5_000).astype(np.float32)
    split = split_rows(target, is_classification=False, seed=3)
    deciles = np.quantile(target, np.arange(1, 10) / 10)
    expected = [300, 100, 100]
    for part, n in zip(parts_of(split), expected, strict=True):
        counts = np.bincount(np.searchsorted(deciles, target[part]), minlength=10)
        assert np.abs(counts - n).max() <= 1
    assert "tenths of the target, seed 3" in split.how


def test_the_seed_decides_and_nothing_else() -> None:
    target = classes(200, 0.5, 0.5)
    first, again = by_class(target), by_class(target)
    other = split_rows(target, is_classification=True, seed=1)
    assert all((a == b).all() for a, b in zip(parts_of(first), parts_of(again), strict=True))
    assert (first.test != other.test).any()


def test_rows_are_spread_over_the_table() -> None:
    split = by_class(np.repeat([0, 1], 5_000))
    assert abs(split.test.mean() - 5_000) < 200


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_whole_and_parts_stay_balanced(seed: int) -> None:
    draw = np.random.default_rng(seed)
    group = draw.integers(0, 300, 3_000)
    target = (draw.random(3_000) < 0.05 + 0.5 * (group % 5 == 0)).astype(np.int64)
    groups = pl.Series("who", [f"c{g}" for g in group])
    split = split_rows(target, is_classification=True, seed=seed, groups=groups)
    parts = parts_of(split)
    assert sum(len(set(group[part])) for part in parts) == len(set(group))
    for part, share in zip(parts, (0.6, 0.2, 0.2), strict=True):
        assert abs(len(part) / 3_000 - share) < 0.01
        assert abs(target[part].mean() - target.mean()) < 0.01
    assert split.how == f"60 / 20 / 20 by who, balanced by class, seed {seed}"


def test_groups_of_very_different_size_come_near_the_shares() -> None:
    groups = pl.Series(np.repeat(np.arange(40), np.arange(1, 41) ** 2))
    target = np.random.default_rng(0).normal(size=len(groups)).astype(np.float32)
    split = split_rows(target, is_classification=False, seed=0, groups=groups)
    shares = [len(part) / len(groups) for part in parts_of(split)]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.01)


def test_five_equal_times_give_three_one_one() -> None:
    days = [date(1997, 8, 1), date(1997, 9, 1), date(1997, 10, 1), date(1998, 1, 1)]
    times = pl.Series("cutoff", [*days, date(1998, 4, 1)] * 10).shuffle(seed=1)
    target = np.arange(50) % 2
    split = by_class(target, times=times)
    assert [len(part) for part in parts_of(split)] == [30, 10, 10]
    assert times[split.train].max() < times[split.valid].min()
    assert times[split.valid].max() < times[split.test].min()
    assert split.how == (
        "by cutoff: train 1997-08-01 to 1997-10-01, valid 1998-01-01, test 1998-04-01"
    )


@pytest.mark.parametrize(
    "counts", [[1, 1, 1], [97, 1, 1, 1], [1, 1, 1, 97], [1, 1, 97, 1], [5] * 9]
)
def test_times_are_cut_whole_and_no_part_is_empty(counts: list[int]) -> None:
    times = pl.Series("t", np.repeat(np.arange(len(counts)), counts))
    target = np.random.default_rng(0).normal(size=len(times)).astype(np.float32)
    split = split_rows(target, is_classification=False, seed=0, times=times)
    parts = parts_of(split)
    assert all(len(part) for part in parts)
    values = [set(times[part].to_list()) for part in parts]
    assert max(values[0]) < min(values[1]) <= max(values[1]) < min(values[2])
    assert sum(map(len, values)) == len(counts)


def test_cuts_are_the_nearest_to_60_and_80_percent() -> None:
    counts = np.random.default_rng(2).integers(1, 30, 50)
    times = pl.Series("t", np.repeat(np.arange(50), counts))
    split = split_rows(
        np.zeros(len(times), np.float32), is_classification=False, seed=0, times=times
    )
    ends = np.cumsum(counts)
    n = ends[-1]
    assert abs(len(split.train) - 0.6 * n) == np.abs(ends - 0.6 * n).min()
    assert abs(len(split.test) - 0.2 * n) == np.abs(n - ends - 0.2 * n).min()


def windowed(window: int) -> dict[str, Any]:
    times = np.repeat(np.arange(0, 100, 10), 10)
    return {"times": pl.Series("t", times), "window_end": pl.Series(times + window)}


def test_rows_known_only_after_the_test_begins_are_left_out_and_counted() -> None:
    target = np.arange(100) % 2
    assert by_class(target, **windowed(10)).how == (
        "by t: train 0 to 50, valid 60 to 70, test 80 to 90"
    )
    split = by_class(target, **windowed(20))
    assert (len(split.train), len(split.valid), len(split.test)) == (60, 10, 20)
    assert split.how.endswith("; left out 10 validation rows with windows into the test")
    heard: list[progress.Event] = []
    with progress.listen(heard.append):
        split = by_class(target, **windowed(35))
    assert (len(split.train), len(split.valid), len(split.test)) == (50, 20, 20)
    assert split.how.endswith("; left out 10 training rows with windows into the test")
    assert "all validation rows reach into the test" in heard[0].phase.text


def test_window_ends_are_compared_with_times_of_another_resolution() -> None:
    days = [datetime(2024, 1, d) for d in range(1, 11) for _ in range(4)]
    ends = pl.Series([d.date() for d in days])
    split = by_class(np.arange(40) % 2, times=pl.Series("t", days), window_end=ends)
    assert [len(part) for part in parts_of(split)] == [24, 8, 8]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"window_end": pl.Series([1] * 100)}, "needs a time column"),
        ({"times": pl.Series(range(100)), "groups": pl.Series(range(100))}, "cannot keep groups"),
        ({"times": pl.Series("t", [1, 2] * 50)}, "t has 2 distinct values"),
        ({"times": pl.Series("t", [None, *range(99)])}, "t is missing in 1 rows"),
        ({"times": pl.Series("t", ["May", "June"] * 50)}, "t holds String values such as 'May'"),
        (windowed(1_000), "all training rows reach into the test"),
        ({**windowed(1), "window_end": pl.Series([date(2024, 1, 1)] * 100)}, "both as dates"),
        ({"groups": pl.Series("g", [None, *range(99)])}, "g is missing in 1 rows"),
        ({"groups": pl.Series("g", [1, 2] * 50)}, r"g has too few values \(2\)"),
        ({"groups": pl.Series("g", [1] * 98 + [2, 3])}, r"too few values \(3\), or one"),
        ({"times": pl.Series("t", [0] * 60 + [1] * 20 + [2] * 20)}, "single class"),
    ],
)
def test_a_split_that_cannot_be_honest_is_refused(how: dict[str, Any], message: str) -> None:
    target = np.array([0, 1] * 30 + [0] * 40)
    with pytest.raises(DataError, match=message) as caught:
        by_class(target, **how)
    assert caught.value.help


def test_every_class_must_be_seen_in_training() -> None:
    target = np.array([0, 1] * 30 + [0, 2] * 20)
    with pytest.raises(DataError, match=r"1 classes have no training row.*: class number 2\n"):
        by_class(target, times=pl.Series("t", np.arange(100) // 20))


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(DataError, match="has no rows"):
        split_rows(np.zeros(2, np.float32), is_classification=False, seed=0)


def test_folds_have_the_same_share_of_every_class() -> None:
    target = classes(503, 0.8, 0.15, 0.05)
    folds = make_folds(target, n_folds=5, seed=0, is_classification=True)
    assert folds.dtype == np.int64
    for number, n in enumerate(np.bincount(target)):
        counts = np.bincount(folds[target == number], minlength=5)
        assert counts.max() - counts.min() <= 1
        assert counts.sum() == n


def test_there_are_fewer_folds_for_a_rare_class_but_at_least_two() -> None:
    for rare, expected in ((3, 3), (1, 2), (9, 5)):
        target = np.array([0] * 50 + [1] * rare)
        folds = make_folds(target, n_folds=5, seed=0, is_classification=True)
        assert len(set(folds)) == expected


def test_folds_keep_groups_whole() -> None:
    draw = np.random.default_rng(0)
    group = draw.integers(0, 60, 600)
    target = draw.normal(size=600).astype(np.float32)
    folds = make_folds(target, n_folds=5, seed=0, is_classification=False, groups=pl.Series(group))
    assert all(len(set(folds[group == g])) == 1 for g in set(group))
    assert np.bincount(folds).tolist() == pytest.approx([120] * 5, abs=6)
    few = make_folds(
        target, n_folds=5, seed=0, is_classification=False, groups=pl.Series(group % 3)
    )
    assert len(set(few)) == 3


def test_what_cannot_be_folded_is_refused() -> None:
    with pytest.raises(DataError, match="1 groups cannot be cut"):
        make_folds(
            np.zeros(9, np.float32),
            n_folds=3,
            seed=0,
            is_classification=False,
            groups=pl.Series([7] * 9),
        )


@pytest.mark.parametrize("seed", range(10))
def test_any_table_with_five_rows_a_class_is_split_into_parts_of_all_classes(seed: int) -> None:
    draw = np.random.default_rng(seed)
    target = np.repeat(np.arange(draw.integers(2, 9)), 5 + draw.integers(0, 3))
    target = draw.permutation(np.concatenate([target, draw.choice(target, draw.integers(0, 99))]))
    split = split_rows(target, is_classification=True, seed=seed)
    assert sorted(np.concatenate(parts_of(split))) == list(range(len(target)))
    for part, share in zip(parts_of(split), (0.6, 0.2, 0.2), strict=True):
        assert set(target[part]) == set(target)
        assert abs(len(part) - share * len(target)) <= 1
    folds = make_folds(target[split.train], n_folds=3, seed=seed, is_classification=True)
    for fold in range(3):
        assert set(target[split.train][folds != fold]) == set(target)
