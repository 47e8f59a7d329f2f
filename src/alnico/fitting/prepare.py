"""A table and what is asked of it -> training and validation rows as tensors; test stays shut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alnico.data.batches import Rows
from alnico.data.encode import Encoder, fit_encoder
from alnico.data.fingerprint import fingerprints
from alnico.data.leaks import Leak, find_leaks
from alnico.data.schema import Schema, conform, infer_schema
from alnico.data.split import Split, make_folds, split_rows
from alnico.data.table import Table, check_finite
from alnico.data.target import Asked, encode_target, infer_task
from alnico.errors import DataError
from alnico.evaluation.metrics import Metric, Target, for_task
from alnico.fitting.earlier import Earlier, check_columns, unseen
from alnico.fitting.options import Options
from alnico.progress import note, phase, spaced, warn
from alnico.types import Task

if TYPE_CHECKING:
    import polars as pl

N_FOLDS = 5
WINDOW_END = "window_end"


@dataclass(frozen=True)
class Prepared:
    """Everything that training and fusing need of a table.

    Args:
        table: The table itself.
        encoder: Fitted on the training part.
        task: What is predicted.
        metric: What rows are ranked by.
        split: Row numbers of the three parts.
        train: The training part.
        valid: The validation part.
        folds: The fold of each validation row.
        leaks: Columns that give the target away by themselves.
        target: Class index, or the number in its own units, of all rows.
    """

    table: Table
    encoder: Encoder
    task: Task
    metric: Metric
    split: Split
    train: Rows
    valid: Rows
    folds: Tensor
    leaks: tuple[Leak, ...]
    target: Target
    groups: pl.Series | None

    def open_test(self) -> Rows:
        """Encode the test part; called once, when nothing is left to choose."""
        return _rows(self.table.frame, self.encoder, self.target, self.task, self.split.test)

    def test_groups(self) -> NDArray[np.generic] | None:
        """The group of each test row, if rows come in groups."""
        return None if self.groups is None else self.groups.to_numpy()[self.split.test]


def prepare(
    table: Table, options: Options, *, earlier: Earlier | None = None, raw: bool = False
) -> Prepared:
    """Find types, target and parts, look for leaks, and fit the encodings on the training part.

    Args:
        table: The rows.
        options: What is asked.
        earlier: A run to start from: its types, task and encodings are taken.
        raw: Whether batches hold the numbers as they are, too, for networks of the user's.

    Raises:
        DataError: If the table, a column or the target cannot be used.
        UnknownNameError: If a column or metric that was named does not exist.
    """
    frame = table.frame
    schema = _infer(table, options) if earlier is None else check_columns(frame, earlier, options)
    task = _infer_task(frame, options, earlier)
    metric = for_task(options.metric, task)
    target = encode_target(frame[options.target], task)
    numbers = [column.name for column in schema.columns if column.type == "number"]
    check_finite(frame, numbers, source=table.source)
    typed = conform(frame, schema, source=table.source)
    split = _split(frame, target, options, is_classification=task.is_classification)
    leaks = find_leaks(typed[split.train], schema, target[split.train], task, seed=options.seed)
    _warn_of(leaks, options.target)
    if earlier is None:
        task = _units(task, target[split.train])
    else:
        prints = fingerprints(_rows(frame, earlier.encoder, target, task, np.arange(len(target))))
        split = unseen(split, prints, earlier)
    _check_sizes(split)
    note("split", f"{split.how}; the test part is opened once, at the end")
    with phase("encode", "learning the encodings from the training part") as work:
        encoder = fit_encoder(typed[split.train], schema) if earlier is None else earlier.encoder
        encoder = replace(encoder, raw=raw or encoder.raw)
        train, valid = (
            _rows(frame, encoder, target, task, part) for part in (split.train, split.valid)
        )
        work.say(_what(encoder) + (f", as in {earlier.place}" if earlier else ""))
    groups = frame[options.group] if options.group else None
    folds = _folds(target, split, groups, task, seed=options.seed)
    found = tuple(leaks)
    return Prepared(table, encoder, task, metric, split, train, valid, folds, found, target, groups)


def _folds(
    target: NDArray[np.int64] | NDArray[np.float32],
    split: Split,
    groups: pl.Series | None,
    task: Task,
    *,
    seed: int,
) -> Tensor:
    """The fold of each validation row. [n]"""
    folds = make_folds(
        target[split.valid],
        n_folds=N_FOLDS,
        seed=seed,
        is_classification=task.is_classification,
        groups=None if groups is None else groups[split.valid],
    )
    return torch.from_numpy(folds)


def _infer(table: Table, options: Options) -> Schema:
    schema = infer_schema(
        table.frame,
        target=options.target,
        drop=options.drop,
        text=options.text,
        category=options.category,
        group=options.group,
        time=options.time_column,
        window_end=_window_end(table.frame, options),
    )
    note("table", f"{spaced(table.frame.height)} rows, {schema.summary()}")
    return schema


def _infer_task(frame: pl.DataFrame, options: Options, earlier: Earlier | None) -> Task:
    if earlier is not None:
        note("start", f"{len(earlier.members)} members of {earlier.place}, and its encodings")
        return earlier.task
    task, sentence = infer_task(
        frame[options.target], task=cast(Asked, options.task), positive=options.positive
    )
    note("target", sentence)
    return task


def _window_end(frame: pl.DataFrame, options: Options) -> str | None:
    if options.window_end is None and options.time_column and WINDOW_END in frame.columns:
        return WINDOW_END
    return options.window_end


def _split(
    frame: pl.DataFrame,
    target: NDArray[np.int64] | NDArray[np.float32],
    options: Options,
    *,
    is_classification: bool,
) -> Split:
    window_end = _window_end(frame, options)
    return split_rows(
        target,
        is_classification=is_classification,
        seed=options.seed,
        groups=frame[options.group] if options.group else None,
        times=frame[options.time_column] if options.time_column else None,
        window_end=frame[window_end] if window_end else None,
    )


def _warn_of(leaks: Sequence[Leak], target: str) -> None:
    for leak in leaks:
        warn(
            f"column {leak.column!r} gives {target!r} away by itself: "
            f"{leak.metric} {leak.score:.3f} from this column alone",
            help=f"if it is not known when you predict: --drop {leak.column!r}",
        )


def _check_sizes(split: Split) -> None:
    """Validation is cut into folds, and test rows are resampled: both need two rows."""
    for part, rows in (("validation", split.valid), ("test", split.test)):
        if len(rows) < 2:
            raise DataError(
                f"the {part} part has a single row, split {split.how}",
                help="give more rows, or split in another way",
            )


def _units(task: Task, target: Target) -> Task:
    if task.is_classification:
        return task
    numbers = target.astype(np.float64)  # the square of a large float32 is infinite
    return replace(task, center=float(numbers.mean()), scale=float(numbers.std()) or 1.0)


def _rows(
    frame: pl.DataFrame,
    encoder: Encoder,
    target: Target,
    task: Task,
    index: NDArray[np.int64],
) -> Rows:
    inputs = encoder.encode(conform(frame[index], encoder.schema, source="the table"))
    values = torch.from_numpy(target[index])
    if not task.is_classification:
        values = ((values.double() - task.center) / task.scale).float()
    return Rows(inputs, values)


def _what(encoder: Encoder) -> str:
    inputs = encoder.inputs
    found = []
    if inputs.numbers:
        found.append(f"{inputs.numbers} numbers (quantile and log1p)")
    if inputs.categories:
        levels = sum(inputs.categories) - len(inputs.categories)
        found.append(f"{len(inputs.categories)} categories ({levels} levels)")
    if encoder.vocabulary:
        words = encoder.vocabulary
        found.append(f"text ({spaced(len(words.words))} words, {spaced(len(words.pairs))} pairs)")
    return ", ".join(found)
