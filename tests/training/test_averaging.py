from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from alnico.training.averaging import Averages


def path(n: int, k: int = 3, p: int = 5) -> list[torch.Tensor]:
    return list(torch.randn(n, k, p).cumsum(0))


class Weights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.row = nn.Parameter(torch.zeros(3, 5))


@pytest.mark.parametrize("every", [1, 4])
def test_the_moving_average_is_torchs_with_the_decay_of_as_many_steps(every: int) -> None:
    decay = (1 - 1 / 20) ** every
    model = Weights()
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    ours = Averages(horizon=20, every=every)
    for step, flat in enumerate(path(37), start=1):
        ours.step(flat)
        if step == 1 or step % every == 0:
            model.row.data.copy_(flat)
            theirs.update_parameters(model)
    for row in range(3):
        torch.testing.assert_close(ours.ema(row), theirs.module.row[row].detach())


def test_the_moving_average_at_intervals_stays_near_the_one_of_every_step() -> None:
    steps = [torch.full((1, 1), float(t)) for t in range(400)]
    each, seldom = Averages(horizon=100), Averages(horizon=100, every=8)
    for flat in steps:
        each.step(flat)
        seldom.step(flat)
    ema = [average.ema(0) for average in (each, seldom)]
    assert ema[0] is not None and ema[1] is not None
    assert abs(float(ema[0] - ema[1])) < 8


@pytest.mark.parametrize(
    ("n_epochs", "first"), [(1, 1), (2, 1), (3, 1), (4, 2), (6, 2), (8, 4), (13, 4), (20, 8)]
)
def test_swa_is_torchs_mean_over_the_late_epochs(n_epochs: int, first: int) -> None:
    model = Weights()
    theirs = AveragedModel(model)
    ours = Averages(horizon=1)
    for epoch, flat in enumerate(path(n_epochs), start=1):
        ours.end_epoch(flat)
        if epoch >= first:
            model.row.data.copy_(flat)
            theirs.update_parameters(model)
    for row in range(3):
        torch.testing.assert_close(ours.swa(row), theirs.module.row[row].detach())


@pytest.mark.parametrize("n_epochs", range(2, 70))
def test_swa_covers_between_half_and_about_three_quarters_of_the_epochs(n_epochs: int) -> None:
    averages = Averages(horizon=1)
    for epoch in range(1, n_epochs + 1):
        averages.end_epoch(torch.tensor([[float(epoch)]]))
    mean = averages.swa(0)
    assert mean is not None
    covered = n_epochs - (2 * float(mean) - n_epochs) + 1  # of a mean of consecutive numbers
    assert n_epochs / 2 <= covered <= 0.75 * n_epochs + 1


def test_before_anything_happened_there_is_no_average() -> None:
    averages = Averages(horizon=10)
    assert averages.ema(0) is None
    assert averages.swa(0) is None
    averages.keep_([0])
    assert averages.ema(0) is None


def test_members_that_go_on_keep_their_averages() -> None:
    whole, fewer = Averages(horizon=5), Averages(horizon=5)
    for step, flat in enumerate(path(9)):
        if step == 4:
            fewer.keep_([0, 2])
        for averages, own in ((whole, flat), (fewer, flat if step < 4 else flat[[0, 2]])):
            averages.step(own)
            averages.end_epoch(own)
    for place, row in enumerate((0, 2)):
        torch.testing.assert_close(fewer.ema(place), whole.ema(row))
        torch.testing.assert_close(fewer.swa(place), whole.swa(row))


def test_averages_are_no_views_of_the_weights() -> None:
    flat = torch.ones(2, 3)
    averages = Averages(horizon=5)
    averages.step(flat)
    averages.end_epoch(flat)
    ema, swa = averages.ema(0), averages.swa(0)
    flat.zero_()
    averages.step(flat)
    assert ema is not None and swa is not None
    assert torch.equal(ema, torch.ones(3))
    assert torch.equal(swa, torch.ones(3))
