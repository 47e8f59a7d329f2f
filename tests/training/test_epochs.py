from __future__ import annotations

import time

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from alnico.data.batches import Rows
from alnico.errors import DataError
from alnico.training.averaging import Averages
from alnico.training.bundle import Bundle
from alnico.training.course import Course
from alnico.training.epochs import Factors, OnEpoch, run_epochs
from alnico.training.feed import Feed, LoaderFeed, RowsFeed, valid_batches
from alnico.training.learner import Learner
from alnico.training.optimisers import Setting
from alnico.training.records import Epoch, Trained
from alnico.training.schedule import schedules

CPU = torch.device("cpu")


def rows(n: int = 40) -> Rows:
    inputs = torch.randn(n, 3)
    return Rows(inputs, (inputs[:, 0] > 0).long())


def run(
    n_epochs: int,
    rates: list[float],
    *,
    feed: Feed | None = None,
    deadline: float | None = None,
    patience: int | None = None,
    on_epoch: OnEpoch | None = None,
) -> list[Trained]:
    modules = [nn.Linear(3, 2) for _ in rates]
    settings = [Setting("sgd", rate, seed=seed) for seed, rate in enumerate(rates)]
    feed = feed or RowsFeed(rows(), batch_size=10, seeds=range(len(rates)))
    learner = Learner(Bundle(range(len(rates)), modules, "stacked"), settings, F.cross_entropy)
    learner.averages = Averages(horizon=4)
    courses = [Course(patience=patience) for _ in rates]
    watch = valid_batches(rows(), batch_size=16, device=CPU)
    factors = Factors(schedules["cosine"], n_epochs * feed.n_batches)
    run_epochs(
        n_epochs, [learner], courses, feed, watch, factors, deadline=deadline, on_epoch=on_epoch
    )
    return [course.trained(nn.Linear(3, 2)) for course in courses]


def test_the_factors_follow_the_schedule_and_hold_at_its_end() -> None:
    factors = Factors(schedules["cosine"], 10)
    taken = [factors.next() for _ in range(12)]
    assert taken[:10] == [schedules["cosine"](step, 10) for step in range(10)]
    assert taken[10:] == [taken[9]] * 2
    assert (factors.step, factors.last) == (12, taken[9])


def test_every_epoch_is_recorded_with_losses_and_the_rate_it_ended_at() -> None:
    told: list[tuple[int, dict[int, Epoch]]] = []
    done = run(3, [0.1, 0.2], on_epoch=lambda epoch, now: told.append((epoch, dict(now))))
    assert [epoch for epoch, _ in told] == [1, 2, 3]
    for member, (trained, rate) in enumerate(zip(done, (0.1, 0.2), strict=True)):
        assert [epoch.epoch for epoch in trained.history] == [1, 2, 3]
        assert [now[member] for _, now in told] == list(trained.history)
        last = trained.history[-1]
        assert last.rate == pytest.approx(rate * schedules["cosine"](11, 12))
        assert last.valid_loss is not None
        assert trained.history[0].train_loss > last.train_loss
        assert trained.stopped == "epochs"


def test_a_member_that_diverges_leaves_and_the_others_go_on() -> None:
    good, bad = run(4, [0.1, 1e38])
    assert bad.stopped == "diverged"
    assert len(bad.history) < 4
    assert bad.ema is None and bad.swa is None
    assert good.stopped == "epochs"
    assert len(good.history) == 4
    assert good.ema is not None and bool(good.ema["weight"].isfinite().all())
    assert good.history[-1].train_loss < good.history[0].train_loss


def test_no_step_is_taken_after_the_deadline() -> None:
    done = run(3, [0.1], deadline=time.monotonic() - 1)
    assert done[0].history == ()
    assert (done[0].best_epoch, done[0].stopped) == (0, "deadline")
    assert done[0].ema is None and done[0].swa is None


def test_an_epoch_cut_short_by_the_deadline_counts() -> None:
    class Slow(LoaderFeed):
        def epoch(self, members):  # type: ignore[no-untyped-def]
            for deal in super().epoch(members):
                yield deal
                time.sleep(0.2)

    batches = [(torch.randn(5, 3), torch.randint(2, (5,))) for _ in range(50)]
    done = run(3, [0.1], feed=Slow(batches, device=CPU), deadline=time.monotonic() + 0.3)
    assert len(done[0].history) == 1
    assert (done[0].best_epoch, done[0].stopped) == (1, "deadline")
    assert done[0].swa is not None


def test_patience_ends_the_training_when_no_member_is_left() -> None:
    told = []
    done = run(50, [3.0, 5.0], patience=1, on_epoch=lambda epoch, _: told.append(epoch))
    assert {trained.stopped for trained in done} == {"patience"}
    assert max(len(trained.history) for trained in done) == len(told) < 50


def test_a_loader_that_runs_dry_is_an_error_and_no_empty_epoch() -> None:
    class OneEpoch(list[tuple[torch.Tensor, torch.Tensor]]):
        def __iter__(self):  # type: ignore[no-untyped-def]
            found = list(super().__iter__())
            self.clear()
            return iter(found)

    batches = OneEpoch([(torch.randn(5, 3), torch.randint(2, (5,)))])
    with pytest.raises(DataError, match="no batches in epoch 2"):
        run(3, [0.1], feed=LoaderFeed(batches, device=CPU))
