from __future__ import annotations

import copy
import time

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from alnico import progress
from alnico.data.batches import Rows
from alnico.errors import DataError, IncompatibleModelsError, RecipeError
from alnico.fusing import distill, fuse
from alnico.training import Setting, train
from alnico.types import Task

FAST = Setting("adam", 1e-2)


def student(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))


@pytest.fixture(scope="session")
def teacher(strangers: list[nn.Module]) -> nn.Module:
    return fuse(strangers, "average")


def accuracy(module: nn.Module, digits: tuple[Tensor, Tensor]) -> float:
    x, y = (part[800:] for part in digits)
    return float((module(x).argmax(1) == y).float().mean())


def test_a_student_of_an_ensemble_beats_itself_taught_by_few_labels(
    teacher: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    x, y = (part[:100] for part in digits)
    alone = train(
        [student()], Rows(x, y), settings=[FAST], loss=F.cross_entropy, epochs=120, way="loop"
    )
    taught = distill(teacher, student(), data=digits[0][:800], setting=FAST, epochs=30)
    by_labels = accuracy(alone.members[0].module, digits)
    assert accuracy(taught, digits) > by_labels + 0.1
    assert accuracy(taught, digits) > accuracy(teacher, digits) - 0.05


def test_copies_of_few_rows_teach_more_in_fewer_steps(
    teacher: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    given = {"data": digits[0][:60], "setting": FAST}
    few = distill(teacher, student(), copies=0, epochs=400, **given)  # a step an epoch
    more = distill(teacher, student(), copies=9, epochs=100, **given)  # three
    assert accuracy(more, digits) > accuracy(few, digits) + 0.01


def test_a_student_comes_as_near_to_a_linear_teacher_as_it_can() -> None:
    teacher, x = nn.Linear(3, 2), torch.randn(400, 3)
    with torch.no_grad():
        teacher.bias.copy_(torch.tensor([1.0, -1.0]))
    taught = distill(teacher, nn.Linear(3, 2), data=x, setting=Setting("adam", 0.05), epochs=40)
    new = torch.randn(50, 3)
    torch.testing.assert_close(taught(new).softmax(1), teacher(new).softmax(1), atol=0.01, rtol=0)


def test_numbers_are_taught_by_squared_error() -> None:
    teacher, x = nn.Linear(3, 1), torch.randn(400, 3)
    taught = distill(teacher, nn.Linear(3, 1), data=x, setting=Setting("adam", 0.05), epochs=40)
    torch.testing.assert_close(taught(x), teacher(x), atol=0.01, rtol=0)


def test_all_of_the_loss_on_labels_forgets_the_teacher(
    teacher: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    x, y = (part[:300] for part in digits)
    wrong = nn.Sequential(copy.deepcopy(teacher), nn.Linear(10, 10))
    given = {"data": (x, y), "setting": FAST, "epochs": 20, "copies": 0, "batch_size": 32}
    by_teacher = distill(wrong, student(), **given)
    by_labels = distill(wrong, student(), hard=1.0, **given)
    assert accuracy(by_teacher, digits) < 0.4 < 0.7 < accuracy(by_labels, digits)
    alone = train(
        *([student()], Rows(x, y)),
        settings=[FAST],
        loss=F.cross_entropy,
        epochs=20,
        batch_size=32,
        clip=1.0,
        way="loop",
    )
    new = digits[0][800:900]
    torch.testing.assert_close(by_labels(new), alone.members[0].module(new), rtol=1e-3, atol=1e-3)


def test_rows_and_loaders_teach_the_same(teacher: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    x, y = (part[:200] for part in digits)
    loader = DataLoader(TensorDataset(x, y), batch_size=64)
    states = [
        distill(teacher, student(), data=data, epochs=2).state_dict()
        for data in (x, (x, y), Rows(x, y), loader)
    ]
    for state in states[1:]:
        assert all(map(torch.equal, states[0].values(), state.values()))


@pytest.mark.parametrize("is_labelled", [True, False])
def test_validation_chooses_the_epoch(
    is_labelled: bool, teacher: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    x, valid = digits[0][:40], tuple(part[800:] for part in digits)
    hot = Setting("adam", 0.3)
    given = {"data": x, "setting": hot, "epochs": 40, "copies": 0, "batch_size": 8}
    last = distill(teacher, student(), **given)
    best = distill(teacher, student(), valid=valid if is_labelled else valid[0], **given)

    def loss(module: nn.Module) -> float:
        with torch.no_grad():
            said, told = module(valid[0]), (teacher(valid[0]) / 2).softmax(1)
            if is_labelled:
                return float(F.cross_entropy(said, valid[1]))
            return float(F.kl_div((said / 2).log_softmax(1), told, reduction="batchmean"))

    assert loss(best) < loss(last)


def test_teacher_and_student_stay_as_they_are(
    teacher: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    pupil = student().train()
    before = copy.deepcopy([teacher.state_dict(), pupil.state_dict()])
    taught = distill(teacher, pupil, data=digits[0][:100], epochs=1)
    for module, state in zip((teacher, pupil), before, strict=True):
        assert all(map(torch.equal, module.state_dict().values(), state.values()))
    assert pupil.training and not any(m.training for m in taught.modules())
    assert not torch.equal(taught[0].weight, pupil[0].weight)
    again = distill(teacher, pupil, data=digits[0][:100], epochs=1)
    assert torch.equal(again[0].weight, taught[0].weight)


def test_outputs_that_differ_are_named(digits: tuple[Tensor, Tensor]) -> None:
    x, y = (part[:30] for part in digits)
    message = "teacher has 9 outputs, the student 10, the multiclass task 9"
    with pytest.raises(IncompatibleModelsError, match=message):
        distill(nn.Linear(64, 9), student(), data=x)
    message = "teacher has 10 outputs, the student 10, the binary task 2"
    with pytest.raises(IncompatibleModelsError, match=message):
        distill(student(1), student(), data=x, task=Task("binary", (0, 1)))
    message = "teacher has 10 outputs, the student 10, the regression task 1"
    with pytest.raises(IncompatibleModelsError, match=message):
        distill(student(1), student(), data=(x, y.float()))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"temperature": 0.0}, "temperature must be above 0, got 0.0"),
        ({"temperature": float("nan"), "copies": -1}, "got nan; copies must be at least 0, got -1"),
        ({"hard": 20}, r"hard must lie in \[0, 1\], got 20"),
        ({"hard": 0.5}, "hard=0.5 asks for a target, and the data are inputs alone"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"setting": Setting("sgd", 1e30)}, "not finite in its first epoch"),
    ],
)
def test_faults_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        distill(student(1), student(), data=torch.randn(2_000, 64), **wrong)


def test_a_teacher_that_says_nan_is_refused() -> None:
    broken = student(1)
    nn.init.constant_(broken[2].bias, torch.nan)
    with pytest.raises(IncompatibleModelsError, match="the teacher says NaN"):
        distill(broken, student(), data=torch.randn(9, 64))
    with pytest.raises(DataError, match="have no rows"):
        distill(student(1), student(), data=torch.empty(0, 64))


def test_without_time_the_student_is_as_it_came_and_that_is_said() -> None:
    heard: list[progress.Event] = []
    with progress.listen(heard.append):
        pupil = student()
        past = time.monotonic() - 1
        taught = distill(student(1), pupil, data=torch.randn(50, 64), deadline=past)
    assert torch.equal(taught[0].weight, pupil[0].weight)
    assert [e.phase.text for e in heard if e.what == "warning"] == [
        "no time was left to distill: the student is as it came"
    ]
