from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias

import pytest
import torch

from alnico.data.table import read_table
from alnico.fitting import Bench, Fitted, Options, Store, fit_table
from alnico.fitting.members import TrainedGroup

QUICK = Options(
    target="buys",
    positive="yes",
    architectures=("dcn",),
    optimisers=("adamw",),
    together=("apart",),
    kinds=("average", "single_refit"),
)
Alike: TypeAlias = Callable[[Fitted, Fitted], bool]


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C at the nth call of a function of the fit."""

    def at(place: str, n: int = 1, error: type[BaseException] = KeyboardInterrupt) -> None:
        room, name = place.split(".")
        module = importlib.import_module(f"alnico.fitting.{room}")
        calls: list[str] = []
        real = getattr(module, name)

        def interrupted(*args: object, **named: object) -> object:
            calls.append(name)
            if len(calls) == n:
                raise error
            return real(*args, **named)

        monkeypatch.setattr(module, name, interrupted)

    return at


def test_an_interrupt_before_a_member_is_trained_leaves_nothing(shop, interrupt) -> None:
    interrupt("train.train_group")
    with pytest.raises(KeyboardInterrupt):
        fit_table(read_table(shop), QUICK)


@pytest.mark.parametrize(
    ("name", "n"), [("trying.calibrate", 2), ("fit.retrain", 1), ("fit.verdict", 1)]
)
def test_an_interrupt_keeps_the_best_so_far_and_the_test_part_shut(
    shop, interrupt, name, n
) -> None:
    interrupt(name, n)
    fitted = fit_table(read_table(shop), replace(QUICK, kinds=("average", "single_refit")))
    assert fitted.status == "interrupted" and not fitted.test_opened and fitted.verdict is None
    assert fitted.rows[0].valid_score is not None and fitted.rows[0].nets
    for row in fitted.rows:
        assert row.test_score is row.gain is row.test_prediction is None and not row.test_scores


def test_an_interrupt_in_the_search_keeps_what_was_made_before_it(
    small, searching: Options, interrupt
) -> None:
    interrupt("train.train_group", 4)  # the second family
    fitted = fit_table(read_table(small), searching)
    assert fitted.status == "interrupted"
    assert len(fitted.groups) == 3 and len(fitted.studies["family"].trials) == 1
    assert fitted.rows and fitted.predicts is not None
    assert next(row for row in fitted.rows if row.kind == "average").leaning is not None


@pytest.mark.parametrize(
    ("place", "n", "error", "n_left"),
    [
        ("train.train_group", 2, KeyboardInterrupt, 3),  # in the first pass
        ("train.train_group", 4, SystemExit, 1),  # in the search of families
        ("search.crossfit_structure", 4, SystemExit, 0),  # in the search of fusions
        ("fit.verdict", 1, KeyboardInterrupt, 0),
    ],
)
def test_a_run_that_was_stopped_goes_on_and_ends_as_if_it_never_had_been(
    searched, searching, small, interrupt, monkeypatch, tmp_path, alike, place, n, error, n_left
) -> None:
    table, store = read_table(small), Store(tmp_path / "run")
    interrupt(place, n, error)
    with suppress(SystemExit):
        stopped = fit_table(table, searching, store=store)
        assert stopped.status == "interrupted"
    store.pause()  # as the end of its process does
    monkeypatch.undo()
    again = Store(tmp_path / "run")
    trained = refuse_to_train_again(monkeypatch, again)
    resumed = fit_table(table, again.resume(table.digest), store=again)
    assert resumed.status == "complete" and alike(searched, resumed)
    assert len(trained) == n_left
    again.end()


def refuse_to_train_again(monkeypatch: pytest.MonkeyPatch, store: Store) -> list[str]:
    """Names of the groups that are trained from here on, none of which may be in the store."""
    from alnico.fitting import train

    real = train.train_group
    trained: list[str] = []

    def spy(group, *args: object, **named: object) -> TrainedGroup:
        assert not (store.folder / f"{group.name}.json").exists(), f"{group.name} twice"
        trained.append(group.name)
        return real(group, *args, **named)

    monkeypatch.setattr(train, "train_group", spy)
    return trained


def test_a_failed_trial_fails_in_a_resumed_run_too_and_its_group_stays_away(
    small, searching: Options, interrupt, monkeypatch, tmp_path, alike: Alike
) -> None:
    from alnico.fitting import search

    real = search.crossfit_structure

    def no_number(bench: Bench, name: str, parts: object) -> object:
        fitted = real(bench, name, parts)
        if name == "selection" and len(calls) == 0:
            calls.append(name)
            return replace(fitted, outputs=torch.full_like(fitted.outputs, torch.nan))
        return fitted

    calls: list[str] = []
    monkeypatch.setattr(search, "crossfit_structure", no_number)
    table = read_table(small)
    straight = fit_table(table, searching)
    assert [t.why for t in straight.studies["family"].trials] == ["it gave nan", None]
    calls.clear()
    store = Store(tmp_path / "run")
    interrupt("train.train_group", 4)
    fit_table(table, searching, store=store)
    store.pause()
    monkeypatch.undo()
    again = Store(tmp_path / "run")
    assert alike(straight, fit_table(table, again.resume(table.digest), store=again))
    names = [group.members[0].group.name.split("-")[1] for group in straight.groups]
    assert names == ["0", "1", "3"]
    again.end()


def test_more_trials_go_on_from_those_that_were_made(
    searched: Fitted, searching: Options, small, tmp_path, alike: Alike
) -> None:
    table, store = read_table(small), Store(tmp_path / "run")
    fit_table(table, replace(searching, trials=1), store=store)
    store.pause()
    again = Store(tmp_path / "run")
    asked = again.resume(table.digest).go_on(Options("", trials=2))
    assert alike(searched, fit_table(table, asked, store=again))
    again.end()
