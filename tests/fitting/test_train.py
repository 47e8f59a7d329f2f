from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from torch import nn

from alnico import progress
from alnico.data.table import read_table
from alnico.fitting import Fitted, Options, Store
from alnico.fitting import train as training_room
from alnico.fitting.clock import Clock
from alnico.fitting.members import TrainedGroup
from alnico.fitting.prepare import prepare
from alnico.fitting.train import bring, has_learned, planned, train, train_first_pass, warm_start

FREE = Clock(None)
ASKED = Options("buys", architectures=("mlp", "dcn"), optimisers=("adam",), together=("apart",))


@pytest.fixture
def begun(small: pl.DataFrame) -> Fitted:
    """A fit of which nothing is trained."""
    return Fitted(ASKED, prepare(read_table(small), ASKED))


@pytest.fixture
def hasty(begun: Fitted, monkeypatch: pytest.MonkeyPatch) -> Fitted:
    """The same; its groups train for two epochs."""
    first_pass = training_room.first_pass

    def two_epochs(*args: object, **named: object) -> list:
        return [replace(group, epochs=2, patience=1) for group in first_pass(*args, **named)]

    monkeypatch.setattr(training_room, "first_pass", two_epochs)
    return begun


def test_every_planned_group_is_trained_and_told(hasty: Fitted) -> None:
    events: list[progress.Event] = []
    with progress.listen(events.append):
        train_first_pass(hasty, FREE, None)
    assert [g.members[0].group for g in hasty.groups] == planned(hasty)
    told = [event.phase.text for event in events if event.what == "finished"]
    assert len(told) == 2
    for text, group in zip(told, hasty.groups, strict=True):
        losses = [e.valid_loss for m in group.members for e in m.history]
        architecture = group.members[0].group.architecture.name
        head = f"{architecture} x{len(group.members)}  best validation loss {min(losses):.4f}"
        assert text.startswith(head)


def test_a_group_that_was_kept_is_not_trained_again(hasty, tmp_path: Path, monkeypatch) -> None:
    store = Store(tmp_path / "run")
    train_first_pass(hasty, FREE, store)
    assert (store.folder / "asked.json").is_file()
    again = replace(hasty, groups=[])

    def refuse(*_: object, **__: object) -> TrainedGroup:
        raise AssertionError("it was trained already")

    monkeypatch.setattr(training_room, "train_group", refuse)
    for group in planned(again):
        found = train(again, group, None, store)
        kept = next(g for g in hasty.groups if g.members[0].group == group)
        for one, other in zip(found.members, kept.members, strict=True):
            assert torch.equal(one.outputs.logits, other.outputs.logits)
    assert again.groups == []  # whoever asks decides whether it joins
    store.end()


def test_a_group_without_an_epoch_is_worth_nothing(hasty: Fitted) -> None:
    group = planned(hasty)[0]
    late = train(hasty, group, time.monotonic(), None)
    assert not has_learned(late) and has_learned(train(hasty, group, None, None))


def test_the_first_group_may_take_the_time_that_all_others_would_have_had(
    hasty: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_group, allowed = training_room.train_group, []

    def slow(*args: object, deadline: float, **named: object) -> TrainedGroup:
        allowed.append(deadline - time.monotonic())
        short = len(allowed) == 1  # as if its share were not enough for an epoch
        return train_group(*args, deadline=0.0 if short else deadline, **named)

    monkeypatch.setattr(training_room, "train_group", slow)
    train_first_pass(hasty, Clock(100.0), None)
    assert [round(seconds) for seconds in allowed[:2]] == [30, 85]
    assert [g.members[0].group for g in hasty.groups] == planned(hasty)


def test_what_finds_no_time_is_left_out_with_a_warning(hasty: Fitted, monkeypatch) -> None:
    group = planned(hasty)[0]
    hasty.groups.append(train(hasty, group, None, None))
    events: list[progress.Event] = []
    with progress.listen(events.append):
        train_first_pass(hasty, Clock(10.0, began=time.monotonic() - 7), None)
    assert len(hasty.groups) == 1
    warned = [e.phase.text for e in events if e.what == "warning"]
    assert warned == [f"no time left to train {g.name}" for g in planned(hasty)]


def test_with_members_of_ones_own_no_time_to_train_is_no_error(small: pl.DataFrame) -> None:
    asked = replace(ASKED, time_limit=0.5)
    prepared = prepare(read_table(small.select("visits", "buys")), asked, raw=True)
    mine = Fitted(asked, prepared)
    bring(mine, [nn.Linear(1, 2)])
    with progress.listen(lambda event: None):
        train_first_pass(mine, Clock(0.5, began=time.monotonic() - 9), None)
    assert [m.name for m in mine.members] == ["given-0"]


def test_together_restricts_the_schemes(begun: Fitted) -> None:
    for schemes, found in ((("papa",), {"papa"}), ((), {"apart", "shared", "papa"})):
        asked = replace(begun, options=replace(ASKED, together=schemes))
        assert {group.together for group in planned(asked)} == found


def test_without_an_earlier_run_nothing_has_a_warm_start(begun: Fitted) -> None:
    bring(begun, [])
    assert begun.groups == []
    for group in planned(begun):
        assert group.begins_from is None and warm_start(begun, group) is None
