from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from alnico.errors import DataError
from alnico.merging.scores import Kind, Row, Scores, read_scores

TABLE = """\
model       cats     dogs     mean   of best parts
--------------------------------------------------
base      0.4310   0.4200   0.4255
cats      0.9410   0.5120   0.7265
dogs      0.4980   0.9330   0.7155
average   0.8000   0.7000   0.7500          80.0 %
pets      0.9020   0.8960   0.8990          95.9 %"""


def scores(*rows: tuple[str, Kind, float, float]) -> Scores:
    made = [Row(name, kind, {"cats": cats, "dogs": dogs}) for name, kind, cats, dogs in rows]
    return Scores(tuple(made))


@pytest.fixture
def pets() -> Scores:
    return scores(
        ("base", "base", 0.431, 0.420),
        ("cats", "parent", 0.941, 0.512),
        ("dogs", "parent", 0.498, 0.933),
        ("average", "average", 0.8, 0.7),
        ("pets", "merge", 0.902, 0.896),
    )


def test_the_table_has_a_row_for_each_and_a_share_for_what_was_made_of_all(
    pets: Scores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alnico.evaluation.drawing._rule", lambda _: "-")
    assert pets.draw() == TABLE


def test_the_share_of_the_best_parts_is_that_of_an_array(pets: Scores) -> None:
    table = np.array([list(row.scores.values()) for row in pets.rows])
    shares = (table / table[1:3].max(0)).mean(1)
    found = [pets.of_best_parts(row) for row in pets.rows]
    np.testing.assert_allclose(np.array(found, float), shares, rtol=1e-15)
    assert [row.mean for row in pets.rows] == pytest.approx(table.mean(1))


def test_one_task_has_no_mean_and_a_task_without_a_positive_score_no_share() -> None:
    rows = [Row("a", "parent", {"score": -0.5}), Row("b", "parent", {"score": 0.0})]
    found = Scores((*rows, Row("merge", "merge", {"score": 2.0})))
    lines = [line.split() for line in found.draw().splitlines()]
    assert lines[0] == ["model", "score", "of", "best", "parts"]
    assert lines[2:] == [["a", "-0.5000"], ["b", "0.0000"], ["merge", "2.0000", "-"]]
    assert found.as_records()[-1]["of_best_parts"] is None


def test_the_records_are_what_json_gives_back(pets: Scores) -> None:
    records = pets.as_records()
    assert json.loads(json.dumps(records, allow_nan=False)) == records
    assert [record["kind"] for record in records] == ["base", *["parent"] * 2, "average", "merge"]
    assert records[4]["model"] == "pets" and records[4]["scores"] == {"cats": 0.902, "dogs": 0.896}


@pytest.mark.parametrize(
    "value",
    [0.25, Fraction(1, 4), np.float32(0.25), np.array(0.25), torch.tensor(0.25).bfloat16()],
    ids=lambda value: type(value).__name__,
)
def test_a_number_of_any_library_is_one(value: object) -> None:
    for found in (value, {"score": value}):
        read = read_scores(found, of="score of a")
        assert read == {"score": 0.25} and type(read["score"]) is float
    assert read_scores(np.int8(3), of="score of a") == {"score": 3.0}


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        (math.nan, "nan"),
        (np.float32("inf"), "np.float32(inf)"),
        ("0.9", "'0.9'"),
        (None, "None"),
        (True, "True"),
        (torch.tensor(True), "tensor(True)"),
        (1j, "1j"),
        ([0.9], "[0.9]"),
        (torch.ones(2), "tensor([1., 1.])"),
        (10**400, "10000"),
        ({}, "{}"),
        ({"cats": 0.9, "dogs": -math.inf}, "-inf for dogs"),
        ({"cats": "good"}, "'good' for cats"),
        ({1: 0.5}, "{1: 0.5}"),
        ({"": 0.5}, "{'': 0.5}"),
    ],
    ids=str,
)
def test_what_is_no_finite_number_is_shown_with_the_way_out(found: object, shown: str) -> None:
    with pytest.raises(DataError) as error:
        read_scores(found, of="score of a")
    assert error.value.message.startswith(f"score of a gave {shown}")
    assert len(error.value.message) < 250
    assert str(error.value.help).startswith("give a finite number, or a mapping of tasks")


def test_other_tasks_than_before_are_an_error_and_their_order_is_none() -> None:
    turned = read_scores({"dogs": 1, "cats": 2}, of="score of b", tasks=["cats", "dogs"])
    assert list(turned.items()) == [("cats", 2.0), ("dogs", 1.0)]
    with pytest.raises(DataError, match="score of b gave the tasks cats, and cats, dogs of the fi"):
        read_scores({"cats": 2}, of="score of b", tasks=["cats", "dogs"])
    with pytest.raises(DataError, match="gave the tasks score, and cats of"):
        read_scores(0.5, of="score of b", tasks=["cats"])
