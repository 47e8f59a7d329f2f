"""The leaderboard: rows ranked by validation, scored on the test part when it is opened, once."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alnico.data.batches import Rows, n_rows, take
from alnico.evaluation.evaluate import evaluate
from alnico.evaluation.intervals import paired_gain
from alnico.evaluation.metrics import Metric, Target
from alnico.fitting.members import Net, outputs_of
from alnico.fitting.rows import Row
from alnico.predicting import prediction
from alnico.probing import Outputs
from alnico.structures import Parts
from alnico.types import Inputs, Task

_TIMED_ROWS = 512


def rank(rows: Sequence[Row], metric: Metric) -> list[Row]:
    """Best validation score first; then rows without one (test score only, or skipped)."""

    def key(row: Row) -> tuple[int, float]:
        if row.skipped is not None:
            return 2, 0.0
        if row.valid_score is None:
            return 1, 0.0
        return 0, -row.valid_score if metric.greater_is_better else row.valid_score

    return sorted(rows, key=key)


def best_single(ranked: Sequence[Row]) -> Row | None:
    """The best single network by validation."""
    return next((row for row in ranked if row.kind == "single" and row.skipped is None), None)


def open_test(
    ranked: Sequence[Row],
    test: Rows,
    *,
    inputs: Inputs,
    task: Task,
    metric: Metric,
    target: Target,
    groups: NDArray[np.generic] | None,
    seed: int,
) -> None:
    """Score every row on the test part, with its gain over the best single network; time it.

    Args:
        ranked: Rows in order; scores are written into them.
        test: The encoded test part.
        inputs: What its batch holds.
        task: What is predicted.
        metric: What is scored.
        target: Class index, or value in the target's units, of each test row.
        groups: Rows of one group are resampled together.
        seed: Of the bootstrap.
    """
    said: dict[int, Outputs] = {}
    for row in ranked:
        if row.skipped is None and row.calibration is not None:
            outputs = [_read(net, test, inputs, said) for net in row.nets]
            with torch.no_grad():
                raw = (
                    outputs[0].logits if row.structure is None else row.structure(Parts.of(outputs))
                )
            row.test_prediction = prediction(row.calibration(raw), task)
            row.test_score = float(metric.score(target, row.test_prediction))
            row.test_scores = evaluate(target, row.test_prediction, task)
            row.microseconds = microseconds(row, test)
    single = best_single(ranked)
    for row in ranked:
        if row.test_prediction is not None and single is not None:
            assert single.test_prediction is not None
            row.gain = paired_gain(
                metric,
                target,
                row.test_prediction,
                single.test_prediction,
                groups=groups,
                seed=seed,
            )


def _read(net: Net, rows: Rows, inputs: Inputs, said: dict[int, Outputs]) -> Outputs:
    key = id(net.module)
    if key not in said:
        said[key] = outputs_of(net, rows, inputs)
    return said[key]


def microseconds(row: Row, rows: Rows) -> float:
    """Time to predict a row that is encoded already: the best of three batches."""
    batch = take(rows.inputs, torch.arange(min(_TIMED_ROWS, n_rows(rows.inputs))))
    network = row.network.eval()
    times = []
    with torch.no_grad():
        for _ in range(3):
            began = time.perf_counter()
            network(batch)
            times.append(time.perf_counter() - began)
    return min(times) / n_rows(batch) * 1e6


def as_records(ranked: Sequence[Row]) -> list[dict[str, Any]]:
    """The leaderboard as plain values; row numbers are what `--row` takes."""
    records = []
    for number, row in enumerate(ranked, 1):
        gain = row.gain
        records.append(
            {
                "row": number if row.skipped is None else None,
                "rank": number if row.valid_score is not None else None,
                "kind": row.kind,
                "parts": row.parts,
                "parameters": row.n_parameters if row.skipped is None else None,
                "valid": _plain(row.valid_score),
                "test": _plain(row.test_score),
                "test_scores": row.test_scores,
                "gain": gain and _plain(gain.estimate),
                "gain_low": gain and _plain(gain.low),
                "gain_high": gain and _plain(gain.high),
                "fit_seconds": round(row.seconds, 3) if row.skipped is None else None,
                "microseconds_a_row": row.microseconds and round(row.microseconds, 2),
                "skipped": row.skipped,
            }
        )
    return records


def _plain(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
