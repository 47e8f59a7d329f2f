from __future__ import annotations

import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from alnico.data.batches import Rows
from alnico.fitting import Bench, Row, kinds
from alnico.fitting.kinds.distilled import student_of
from alnico.types import Inputs

DISTILLED = sys.modules["alnico.fitting.kinds.distilled"]  # the room has a kind of that name


@pytest.fixture
def lessons(monkeypatch: pytest.MonkeyPatch) -> list[Rows]:
    """What students were taught, in turn; each of them says the mean of what it was told."""
    told: list[Rows] = []
    study = DISTILLED._study

    def learned(architecture, soft: Rows, bench: Bench, deadline: float | None) -> object:
        told.append(soft)
        net = study(architecture, Rows(soft.inputs, soft.target), bench, time.monotonic()).net
        mean = soft.target.mean(0)
        return SimpleNamespace(
            net=net, has_learned=True, outputs=lambda rows: mean.expand(len(rows), -1)
        )

    monkeypatch.setattr(DISTILLED, "_study", learned)
    return told


def taught_by(bench: Bench, teacher: Row) -> Row:
    other = Row("linear", "", valid_score=0.9)
    here = replace(bench, rows=[other, replace(teacher, valid_score=0.5)])
    (row,) = kinds["distilled"](here)
    return row


def test_a_student_for_one_half_never_hears_what_was_learned_from_it(bench, made, lessons) -> None:
    asked: list[Tensor] = []
    halves = bench.folds % 2

    def relearn(rows: Tensor) -> object:
        """Says which rows it knows: class 0 for half 0, class 1 for half 1."""
        asked.append(rows)
        known = torch.stack([(halves[rows] == half).any() for half in (0, 1)]).float()
        return lambda parts: known.expand(parts.logits.shape[1], -1)

    row = taught_by(bench, replace(made["stacking"][0], relearn=relearn))
    assert len(asked) == len(lessons) == 3
    assert asked[0].tolist() == list(range(len(halves)))
    assert row.outputs[halves == 0].unique(dim=0).tolist() == [[0, 1]]
    assert row.outputs[halves == 1].unique(dim=0).tolist() == [[1, 0]]
    assert lessons[0].target.unique(dim=0).tolist() == [[1, 1]]  # the one that predicts hears all


def test_a_teacher_that_learned_nothing_from_validation_rows_has_one_student(
    bench, made, lessons
) -> None:
    for teacher in (made["single"][0], made["average"][1]):
        lessons.clear()
        row = taught_by(bench, teacher)
        assert len(lessons) == 1
        assert torch.equal(row.outputs[0], lessons[0].target.mean(0))


def test_it_is_taught_what_the_teacher_says_of_training_rows_and_of_rows_with_other_cells(
    bench, made, lessons
) -> None:
    member = bench.members[0]
    taught_by(bench, made["single"][0])
    n = len(bench.train)
    lesson = lessons[0]
    assert len(lesson) == 2 * n
    for key in ("quantile", "missing", "categories"):
        own, swapped = lesson.inputs[key][:n], lesson.inputs[key][n:]
        assert torch.equal(own, bench.train.inputs[key])
        assert 0.02 < (swapped != own).float().mean() < 0.3
        for column in range(own.shape[1]):  # cells come from other rows, not from elsewhere
            assert set(swapped[:, column].tolist()) <= set(own[:, column].tolist())
    with torch.no_grad():
        said = member.net.module.eval()(lesson.inputs)
    torch.testing.assert_close(lesson.target, said, rtol=1e-4, atol=1e-5)


def test_a_fusions_teaching_is_that_of_the_whole_fusion(bench, made, lessons) -> None:
    row = made["average"][1]
    taught_by(bench, row)
    with torch.no_grad():
        said = row.network.eval()(lessons[0].inputs)
    torch.testing.assert_close(lessons[0].target, said, rtol=1e-4, atol=1e-5)


def test_of_very_many_rows_not_all_are_taught(bench, made, lessons, monkeypatch) -> None:
    monkeypatch.setattr(DISTILLED, "MOST_ROWS", 100)
    taught_by(bench, made["single"][0])
    assert len(lessons[0]) == 100
    known = {tuple(row) for row in bench.train.inputs["quantile"].tolist()}
    some = [tuple(row) for row in lessons[0].inputs["quantile"][:50].tolist()]
    assert len(set(some)) == 50 and set(some) <= known


def test_the_best_row_of_all_is_the_teacher_and_the_student_says_nearly_the_same(bench, made):
    teacher = made["average"][1]
    row = taught_by(bench, teacher)
    assert row.parts == "mlp of average" and row.kind == "distilled" and row.skipped is None
    assert row.seconds > teacher.seconds and row.structure is row.relearn is None
    told = teacher.outputs.softmax(-1)
    base = told.mean(0, keepdim=True).expand_as(told)
    far = F.kl_div(base.log(), told, reduction="batchmean")
    near = F.kl_div(row.outputs.log_softmax(-1), told, reduction="batchmean")
    assert near < far / 2
    with torch.no_grad():
        said = row.network.eval()(bench.valid.inputs)
    torch.testing.assert_close(row.outputs, said, rtol=1e-4, atol=1e-5)


def test_what_a_cross_fitted_student_is_judged_by_is_not_what_predicts(bench, made) -> None:
    row = taught_by(bench, made["stacking"][0])
    with torch.no_grad():
        said = row.network.eval()(bench.valid.inputs)
    assert row.outputs.isfinite().all() and not torch.allclose(row.outputs, said)


@pytest.mark.parametrize("name", ["single", "stacking"])
def test_it_is_skipped_when_no_time_is_left(bench, made, name: str) -> None:
    row = taught_by(replace(bench, deadline=time.monotonic()), made[name][0])
    assert row.skipped == "no time was left" and not row.nets and row.outputs is None


def test_each_student_may_take_as_much_time_as_the_others(monkeypatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    assert DISTILLED._share_of(160.0, 3) == 120.0
    assert DISTILLED._share_of(90.0, 3) == 100.0
    assert DISTILLED._share_of(None, 3) is None


def test_without_a_row_there_is_no_teacher(bench: Bench) -> None:
    skipped = Row("concat", "", skipped="no time was left")
    assert not list(kinds["distilled"](replace(bench, rows=[skipped])))


@pytest.mark.parametrize(
    ("inputs", "name"),
    [
        (Inputs(numbers=2, categories=(3,)), "mlp"),
        (Inputs(words=9, bag=9), "text_bag"),
        (Inputs(numbers=2, words=9, bag=9), "mixed"),
    ],
)
def test_the_student_reads_all_that_the_table_holds(bench: Bench, inputs: Inputs, name: str):
    architecture = student_of(replace(bench, inputs=inputs))
    assert architecture.name == name and architecture.fits(inputs)


def test_a_text_stays_with_its_row(bench: Bench) -> None:
    inputs = {
        "log": torch.randn(50, 2),
        "bag": torch.arange(100).reshape(50, 2),
        "bag_weight": torch.rand(50, 2),
    }
    texts = {key: inputs[key] for key in ("bag", "bag_weight")}
    columns = {"log": torch.tensor([0, 1])}
    both = replace(bench, train=Rows(inputs, torch.zeros(50)), columns=columns)
    plain, swapped = (version.inputs for version in DISTILLED._versions(both))
    assert plain is inputs and not torch.equal(swapped["log"], inputs["log"])
    assert all(torch.equal(swapped[key], text) for key, text in texts.items())
    alone = replace(bench, train=Rows(texts, torch.zeros(50)), columns={})
    assert [version.inputs for version in DISTILLED._versions(alone)] == [texts]
