from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from alnico.training.bundle import flat_weights
from alnico.training.course import Course
from alnico.training.records import Epoch


def weights(value: float) -> Tensor:
    return torch.full((6,), value)


def record(course: Course, *valid_losses: float | None) -> Course:
    """Epochs with these losses; each ends with its number as all weights."""
    for number, loss in enumerate(valid_losses, start=1):
        if course.stopped is None:
            course.record(Epoch(number, 0.5, loss, 0.1), weights(number), {})
    return course


def outcome(course: Course) -> tuple[int, float, str]:
    course.close("epochs", None, None)
    done = course.trained(nn.Linear(2, 2))
    return done.best_epoch, float(flat_weights(done.module)[0]), done.stopped


def test_the_best_epoch_is_the_first_of_the_lowest_loss() -> None:
    course = record(Course(patience=None), 0.9, 0.5, 0.7, 0.5)
    assert outcome(course) == (2, 2.0, "epochs")


@pytest.mark.parametrize(("patience", "n_epochs"), [(1, 3), (2, 4), (3, 5), (4, 6)])
def test_it_is_over_after_so_many_epochs_without_a_better_one(patience: int, n_epochs: int) -> None:
    course = record(Course(patience=patience), 0.9, 0.5, 0.6, 0.6, 0.6, 0.4)
    course.close("epochs", None, None)
    done = course.trained(nn.Linear(2, 2))
    assert len(done.history) == n_epochs
    assert done.stopped == ("patience" if patience < 4 else "epochs")


def test_without_validation_the_last_epoch_is_kept_and_patience_waits() -> None:
    assert outcome(record(Course(patience=1), None, None, None)) == (3, 3.0, "epochs")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_it_at_the_best_so_far(bad: float) -> None:
    assert outcome(record(Course(patience=4), 0.9, 0.8, bad, 0.1)) == (2, 2.0, "diverged")


def test_weights_that_are_not_finite_end_it_too() -> None:
    course = Course(patience=None)
    course.record(Epoch(1, 0.5, None, 0.1), torch.tensor([1.0] * 5 + [math.nan]), {})
    course.close("epochs", weights(7), weights(8))
    done = course.trained(nn.Linear(2, 2))
    assert (done.best_epoch, done.stopped) == (0, "diverged")
    assert done.ema is None and done.swa is None


def test_without_a_finite_epoch_the_module_is_as_it_came_in() -> None:
    course = record(Course(patience=None), math.nan)
    course.close("epochs", None, None)
    module = nn.Linear(2, 2)
    done = course.trained(module)
    assert done.module is not module
    assert torch.equal(flat_weights(done.module), flat_weights(module))
    assert not done.module.training


def test_averages_come_out_as_states_of_the_module() -> None:
    course = record(Course(patience=None), 0.5)
    course.close("deadline", weights(7), weights(8))
    module = nn.Linear(2, 2)
    done = course.trained(module)
    assert done.stopped == "deadline"
    assert done.ema is not None and done.swa is not None
    assert list(done.ema) == list(module.state_dict())
    module.load_state_dict(done.ema)
    assert torch.equal(flat_weights(module), weights(7))
    module.load_state_dict(done.swa)
    assert torch.equal(flat_weights(module), weights(8))


def test_remembered_weights_are_copies() -> None:
    course, now = Course(patience=None), weights(1)
    course.record(Epoch(1, 0.5, 0.5, 0.1), now, {})
    now.zero_()
    assert outcome(course)[1] == 1.0
