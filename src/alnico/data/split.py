"""Which rows train, choose and test: 60/20/20 at random, by group or by time; and folds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from alnico import progress
from alnico.data.table import a_few
from alnico.errors import DataError

if TYPE_CHECKING:
    import polars as pl

_PATTERN = np.array([0, 1, 0, 2, 0])  # of five rows three train, one chooses, one tests
_BINS = 10
_PARTS = ("training", "validation", "test")


@dataclass(frozen=True)
class Split:
    """The rows of the three parts.

    Args:
        train: Row numbers, ascending. [n], int64
        valid: Those that models are ranked by.
        test: Those that are looked at once, at the end.
        how: A sentence that tells it.
    """

    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]
    how: str


def split_rows(
    target: NDArray[np.int64] | NDArray[np.float32],
    *,
    is_classification: bool,
    seed: int,
    groups: pl.Series | None = None,
    times: pl.Series | None = None,
    window_end: pl.Series | None = None,
) -> Split:
    """Split the rows 60/20/20.

    By default each part has the same share of every class, or of every tenth of a number.

    Args:
        target: Class numbers, or the number to predict. [n]
        is_classification: Whether the target is a class.
        seed: Of the random choice.
        groups: Rows of one value stay in one part.
        times: Whole values in order: the latest rows test, those before them choose.
        window_end: When each row's outcome is known; a row that trains or chooses but is known only
            after the test part begins is left out.

    Raises:
        DataError: If a part would have no rows, or too few classes or groups.
    """
    if window_end is not None and times is None:
        raise DataError(
            "the end of the outcome window needs a time column", help="name it: --time-column"
        )
    if groups is not None and times is not None:
        raise DataError(
            "a split by time cannot keep groups together: a group has rows at several times",
            help="choose one of --group and --time-column",
        )
    if times is not None:
        split = _by_time(times, window_end)
    else:
        strata = _strata(target, is_classification)
        parts = _deal(strata, _PATTERN, np.random.default_rng(seed), groups)
        classes = "class" if is_classification else "tenths of the target"
        what = classes if groups is None else f"{groups.name or 'group'}, balanced by {classes}"
        train, valid, test = _rows(parts)
        split = Split(train, valid, test, f"60 / 20 / 20 by {what}, seed {seed}")
    for part, rows in (("validation", split.valid), ("test", split.test)):
        if groups is not None and groups[rows].n_unique() < 2:
            raise DataError(
                f"{groups.name or 'the group column'} has too few values ({groups.n_unique()}), or "
                f"one of them has most rows: {part} needs two",
                help="name a column of more groups",
            )
    _check_parts(split, target, is_classification)
    return split


def make_folds(
    target: NDArray[np.int64] | NDArray[np.float32],
    *,
    n_folds: int,
    seed: int,
    is_classification: bool,
    groups: pl.Series | None = None,
) -> NDArray[np.int64]:
    """Number the rows by fold, with the same share of every class in each; groups stay together.

    There are fewer folds, but at least two, if a class has fewer rows or there are fewer groups.

    Args:
        target: Class numbers, or the number to predict. [n]
        n_folds: How many.
        seed: Of the random choice.
        is_classification: Whether the target is a class.
        groups: Rows of one value stay in one fold.

    Returns:
        The fold of each row, from 0. [n], int64

    Raises:
        DataError: If there are not two rows or groups to tell apart.
    """
    n_units = len(target) if groups is None else groups.n_unique()
    if n_units < 2:
        raise DataError(
            f"{n_units} {'rows' if groups is None else 'groups'} cannot be cut into folds",
            help="give more rows",
        )
    strata = _strata(target, is_classification)
    smallest = int(np.bincount(strata)[np.unique(strata)].min()) if is_classification else n_units
    n_folds = max(2, min(n_folds, smallest, n_units))
    return _deal(strata, np.arange(n_folds), np.random.default_rng(seed), groups)


def _strata(
    target: NDArray[np.int64] | NDArray[np.float32], is_classification: bool
) -> NDArray[np.int64]:
    """The class, or the tenth of the target's range of ranks, of each row."""
    if is_classification:
        return target.astype(np.int64)
    ranks = np.argsort(np.argsort(target, kind="stable"), kind="stable")
    return ranks * _BINS // len(target)


def _deal(
    strata: NDArray[np.int64],
    pattern: NDArray[np.int64],
    generator: np.random.Generator,
    groups: pl.Series | None,
) -> NDArray[np.int64]:
    """Deal the rows out in the pattern's shares, stratum by stratum. -> part of each row"""
    parts = np.empty(len(strata), np.int64)
    if groups is None:
        # shuffled within its stratum, each row takes the next place of the pattern
        order = np.lexsort((generator.random(len(strata)), strata))
        parts[order] = np.resize(pattern, len(strata))
        return parts
    if groups.null_count():
        raise DataError(
            f"{groups.name or 'the group column'} is missing in {groups.null_count()} rows",
            help="leave these rows out, or give them a group",
        )
    ids: NDArray[np.int64] = groups.rank("dense").to_numpy().astype(np.int64) - 1
    counts = np.zeros((ids.max() + 1, strata.max() + 1))
    np.add.at(counts, (ids, strata), 1)
    parts[:] = _deal_groups(counts, pattern, generator)[ids]
    return parts


def _deal_groups(
    counts: NDArray[np.float64], pattern: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """Give each group, the largest first, to the part that lacks most of what the group has.

    counts: [groups, strata] -> part of each group
    """
    counts = counts[:, counts.sum(0) > 0]
    wanted = np.outer(np.bincount(pattern) / len(pattern), counts.sum(0))
    lacking = np.ones_like(wanted)
    parts = np.empty(len(counts), np.int64)
    for group in np.lexsort((generator.random(len(counts)), -counts.sum(1))):
        part = int(np.argmax(lacking @ counts[group]))
        lacking[part] -= counts[group] / wanted[part]
        parts[group] = part
    return parts


def _rows(parts: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    return tuple(np.flatnonzero(parts == part) for part in range(3))


def _by_time(times: pl.Series, window_end: pl.Series | None) -> Split:
    """Cut between whole time values, near 60 and 80 % of the rows."""
    name = times.name or "the time column"
    order = _ordinals(times, name)
    values, place, counts = np.unique(order, return_inverse=True, return_counts=True)
    n = len(values)
    if n < 3:
        raise DataError(
            f"{name} has {n} distinct values; a split by time needs 3",
            help="name a finer time column, or leave it out to split at random",
        )
    before = np.cumsum(counts) / len(order)  # the share of rows up to and with each value
    second = 2 + int(np.argmin(np.abs(before[1 : n - 1] - 0.8)))
    first = 1 + int(np.argmin(np.abs(before[: second - 1] - 0.6)))
    train, valid, test = _rows((place >= first).astype(np.int64) + (place >= second))
    how = ""
    if window_end is not None:
        ends = _ordinals(window_end, window_end.name or "window_end")
        if times.dtype.is_numeric() != window_end.dtype.is_numeric():
            raise DataError(
                f"{name} is {times.dtype}, but the end of the window {window_end.dtype}",
                help="give both as dates, or both as numbers",
            )
        train, valid, how = _known_before(values[second], train, valid, ends)
    spans = [_span(times[rows]) for rows in (train, valid, test)]
    told = f"by {name}: train {spans[0]}, valid {spans[1]}, test {spans[2]}"
    return Split(train, valid, test, told + how)


def _known_before(
    start: float, train: NDArray[np.int64], valid: NDArray[np.int64], ends: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], str]:
    """Leave out rows whose outcome is known only after the test part begins, and say how many."""
    kept_train, kept_valid = train[ends[train] <= start], valid[ends[valid] <= start]
    n_train, n_valid = len(train) - len(kept_train), len(valid) - len(kept_valid)
    if not len(kept_train):
        raise DataError(
            "the outcome windows of all training rows reach into the test part",
            help="take rows from more distant times, or shorter windows",
        )
    if not len(kept_valid):
        progress.warn(
            "the outcome windows of all validation rows reach into the test part, and are kept",
            help="leave a gap as long as the window before the latest time",
        )
        kept_valid, n_valid = valid, 0
    left_out = [
        f"{n} {part} rows" for n, part in ((n_train, "training"), (n_valid, "validation")) if n
    ]
    how = f"; left out {' and '.join(left_out)} with windows into the test" if left_out else ""
    return kept_train, kept_valid, how


def _ordinals(times: pl.Series, name: str) -> NDArray[np.float64]:
    """Times as numbers to be compared: dates and date-times as microseconds."""
    import polars as pl

    if times.null_count():
        raise DataError(
            f"{name} is missing in {times.null_count()} rows",
            help="leave these rows out, or split without a time column",
        )
    if times.dtype.is_temporal():
        times = times.cast(pl.Datetime("us")).dt.epoch("us")
    if not times.dtype.is_numeric():
        raise DataError(
            f"{name} holds {times.dtype} values such as {times[0]!r} and no times",
            help="write times as 2024-12-31 or 2024-12-31 23:59:00, or as numbers",
        )
    return times.to_numpy().astype(np.float64)


def _span(times: pl.Series) -> str:
    first, last = (str(value).removesuffix(" 00:00:00") for value in (times.min(), times.max()))
    return first if first == last else f"{first} to {last}"


def _check_parts(
    split: Split, target: NDArray[np.int64] | NDArray[np.float32], is_classification: bool
) -> None:
    for part, rows in zip(_PARTS, (split.train, split.valid, split.test), strict=True):
        if not len(rows):
            raise DataError(
                f"the {part} part has no rows: {len(target)} rows, split {split.how}",
                help="give more rows, or split in another way",
            )
        if is_classification and part != "training" and len(np.unique(target[rows])) < 2:
            raise DataError(
                f"the {part} part has rows of a single class, split {split.how}",
                help="give more rows, or split in another way",
            )
    absent = np.setdiff1d(target, target[split.train]) if is_classification else ()
    if len(absent):
        raise DataError(
            f"{len(absent)} classes have no training row, split {split.how}: class number "
            + a_few(str(int(number)) for number in absent),
            help="leave their rows out, or split in another way",
        )
