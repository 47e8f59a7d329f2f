from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss

from alnico.errors import RunFolderError
from alnico.report import page
from alnico.runs import read_run


def test_rows_are_those_that_were_not_skipped_best_first(make_facts: Callable) -> None:
    facts = make_facts()
    assert [row["row"] for row in facts.rows] == [1, 2, 3, 4, 5]
    assert [row["kind"] for row in facts.skipped] == ["papa"]
    assert facts.single["row"] == 2 and facts.metric.name == "log_loss"


def test_the_best_of_each_kind_and_architecture_is_kept(make_facts: Callable) -> None:
    def more(record: dict[str, Any]) -> None:
        record["rows"].insert(5, {**record["rows"][3], "row": 6})  # another gated
        record["rows"].insert(6, {**record["rows"][2], "row": 7, "parts": "mlp x2"})

    rows = make_facts(change=more).best_of_each
    assert [row["row"] for row in rows] == [1, 2, 3, 4, 5, 7]


@pytest.mark.parametrize("is_open", [True, False])
def test_predictions_are_of_the_part_that_is_open(make_facts: Callable, is_open: bool) -> None:
    facts = make_facts(is_open=is_open)
    assert facts.part == ("test" if is_open else "valid")
    row = facts.rows[0]
    expected = row["test"] if is_open else row["valid"]
    assert log_loss(facts.truth, facts.prediction(row)) == pytest.approx(expected)
    assert facts.prediction(row).dtype == np.float64


def test_the_row_that_predicts_is_the_one_that_the_record_names(make_facts: Callable) -> None:
    facts = make_facts()
    assert (facts.predicts["row"], facts.why_it_predicts) == (3, "it is small")
    older = make_facts(change=lambda record: record.pop("predicts"))
    assert (older.predicts["row"], older.why_it_predicts) == (
        1,
        "Row 1, concat, predicts: it is best by validation.",
    )
    regression = make_facts("regression")
    assert regression.classes == [] and regression.truth.shape == (200,)


def test_a_row_that_is_named_but_not_there_is_refused_as_a_whole(make_run: Callable) -> None:
    run = make_run(change=lambda record: record["predicts"].update(row=99))
    with pytest.raises(RunFolderError, match="does not hold what a report needs"):
        page(read_run(run))


def test_predictions_that_were_changed_are_never_drawn(make_run: Callable) -> None:
    run = make_run()
    path = run / "predictions.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(RunFolderError, match="was changed after it was written"):
        page(read_run(run))
