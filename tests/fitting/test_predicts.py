from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import nn

from alnico.evaluation.metrics import Metric, metrics
from alnico.fitting.leaderboard import rank
from alnico.fitting.members import Net
from alnico.fitting.predicts import choose_row
from alnico.fitting.rows import Row
from alnico.networks import Architecture

LOSS, AUC = metrics["log_loss"], metrics["roc_auc"]


def scored(kind: str, score: float, *, width: int = 1) -> Row:
    """A row with `100 * width` parameters."""
    net = Net(Architecture("mlp"), nn.Linear(100, width, bias=False))
    return Row(kind, kind, (net,), valid_score=score)


def chosen(*rows: Row, metric: Metric = LOSS) -> tuple[str, str]:
    ranked = rank(rows, metric)
    found = choose_row(ranked, metric)
    return ranked[found.row - 1].kind, found.why


@pytest.mark.parametrize(
    ("metric", "turned"), [(LOSS, lambda loss: loss), (AUC, lambda loss: 1 - loss)]
)
@pytest.mark.parametrize(
    ("student", "kind"),
    [(0.30, "distilled"), (0.3099, "distilled"), (0.3101, "concat"), (0.45, "concat")],
)
def test_a_student_that_keeps_nine_tenths_of_the_gain_predicts(
    metric: Metric, turned: Callable[[float], float], student: float, kind: str
) -> None:
    # the whole gain is 0.4 - 0.3: nine tenths of it are kept up to 0.31
    rows = [
        scored("single", turned(0.4)),
        scored("single", turned(0.7)),
        scored("concat", turned(0.3), width=20),
        scored("distilled", turned(student), width=3),
        scored("linear", turned(0.5)),
    ]
    assert chosen(*rows, metric=metric)[0] == kind


def test_it_is_said_how_much_the_student_keeps_and_how_small_it_is() -> None:
    rows = [scored("single", 0.4), scored("concat", 0.3, width=20)]
    kind, why = chosen(*rows, scored("distilled", 0.305, width=3))
    assert kind == "distilled"
    assert why.startswith("Row 2, the distilled network, predicts: by validation it keeps 95% of")
    assert "gain of concat over the best single network, with 15.0% of its parameters." in why


@pytest.mark.parametrize(("student", "kept"), [(0.35, "50%"), (0.4, "nothing"), (0.5, "nothing")])
def test_it_is_said_why_a_student_does_not_predict(student: float, kept: str) -> None:
    kind, why = chosen(scored("concat", 0.3), scored("single", 0.4), scored("distilled", student))
    number = 2 if student <= 0.35 else 3
    assert kind == "concat"
    assert f"the distilled network (row {number}) keeps {kept} of the gain, and 90% is" in why


def test_where_there_is_no_gain_no_student_keeps_any() -> None:
    kind, why = chosen(scored("single", 0.3), scored("distilled", 0.31), scored("concat", 0.32))
    assert kind == "single" and "there is no gain" in why and "row 2" in why


def test_a_student_that_is_best_of_all_predicts() -> None:
    kind, why = chosen(scored("distilled", 0.2), scored("concat", 0.3), scored("single", 0.4))
    assert kind == "distilled"
    assert why == "Row 1, the distilled network, predicts: it is best by validation."


@pytest.mark.parametrize(
    "students", [[], [Row("distilled", "", skipped="no time was left")]], ids=["none", "skipped"]
)
def test_without_a_student_the_best_row_predicts(students: list[Row]) -> None:
    kind, why = chosen(scored("attention", 0.2), scored("single", 0.4), *students)
    assert kind == "attention"
    assert why == "Row 1, attention, predicts: it is best by validation."
