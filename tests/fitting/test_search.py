from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
import torch

from alnico import progress
from alnico.data.batches import Rows
from alnico.fitting import Bench, Options, Row
from alnico.fitting import search as searching_room
from alnico.fitting.clock import Clock
from alnico.fitting.members import Member, TrainedGroup
from alnico.fitting.plan import Group
from alnico.fitting.search import MOST_FUSIONS, families_fit, search_families, search_fusions
from alnico.probing import Outputs
from alnico.searching import Between, Study, Trial
from alnico.structures import Parts, row_loss, structures

ASKED = Options("buys", together=("apart",), trials=3)


@dataclass
class Academy:
    """Stands for training: hands out members, and notes what it is asked for and given."""

    members: tuple[Member, ...]
    broken: Callable[[int, Member], Member] = lambda number, member: member
    asked: list[Group] = field(default_factory=list)
    taken: list[TrainedGroup] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)

    def train(self, group: Group) -> TrainedGroup:
        self.asked.append(group)
        found = tuple(
            self.broken(len(self.asked) - 1, replace(m, name=f"{group.name}.{i}", group=group))
            for i, m in enumerate(self.members)
        )
        return TrainedGroup(found, "loop", "", 0.1)

    def search(self, bench: Bench, *, known: tuple[Trial, ...] = (), **asked: object) -> Study:
        named = {"options": ASKED, "has_time": lambda study: True, **asked}
        return search_families(
            bench,
            named["options"],
            named["has_time"],
            n_planned=7,
            train=self.train,
            add=self.taken.append,
            known=known,
            keep=lambda study: self.kept.append(len(study.trials)),
        )


@pytest.fixture
def first_pass(bench: Bench) -> Bench:
    """Two of the members; the other two are the families to come."""
    return replace(bench, members=bench.members[:2])


@pytest.fixture
def academy(bench: Bench) -> Academy:
    return Academy(bench.members[2:])


def test_each_trial_trains_a_family_numbered_after_the_first_pass(first_pass, academy) -> None:
    study = academy.search(first_pass)
    assert [trial.state for trial in study.trials] == ["complete"] * 3
    numbers = [group.name.rsplit("-", 1)[1] for group in academy.asked]
    assert numbers == ["7", "8", "9"]  # though the first pass may have found time for fewer
    assert [g.members[0].group for g in academy.taken] == academy.asked
    assert academy.kept == [1, 2, 3]
    drawn = [trial.params["architecture"] for trial in study.trials]
    assert [group.architecture.name for group in academy.asked] == drawn


def test_a_trials_value_is_the_loss_of_greedy_selection_over_the_first_pass_and_it(
    first_pass, academy, bench: Bench
) -> None:
    study = academy.search(first_pass, options=replace(ASKED, trials=1))
    parts = Parts.of([m.outputs for m in bench.members])
    target, outputs = bench.valid.target, torch.zeros(len(bench.valid), 2)
    for fold in range(5):
        others, held = (bench.folds != fold).nonzero()[:, 0], (bench.folds == fold).nonzero()[:, 0]
        learned = structures["selection"].learn(parts.rows(others), target[others], bench.task)
        outputs[held] = learned(parts.rows(held)).detach()
    by_hand = float(row_loss(outputs, target, bench.task).mean())
    assert study.trials[0].value == pytest.approx(by_hand, rel=1e-5)


def test_a_trial_is_held_against_the_first_pass_however_many_came_before_it(
    first_pass, academy
) -> None:
    study = academy.search(first_pass)
    assert len({trial.value for trial in study.trials}) == 1  # the families are all alike


def test_members_of_a_shared_loss_add_nothing_by_themselves(first_pass, academy) -> None:
    options = replace(ASKED, together=("shared",), trials=1)
    loud = replace(academy, broken=lambda number, member: says(member, 50.0))
    study = loud.search(first_pass, options=options)
    alone = replace(academy, members=()).search(first_pass, options=replace(ASKED, trials=0))
    assert alone.trials == [] and study.trials[0].state == "complete"
    quiet = replace(academy, asked=[], taken=[]).search(first_pass, options=options)
    assert quiet.trials[0].value == study.trials[0].value


def says(member: Member, value: float) -> Member:
    """The same member, all of whose logits are one value."""
    outputs = Outputs(torch.full_like(member.outputs.logits, value), member.outputs.features)
    return replace(member, outputs=outputs)


def test_a_trial_that_raises_or_gives_no_number_is_marked_and_joins_nothing(
    first_pass, academy, monkeypatch
) -> None:
    real = searching_room.crossfit_structure

    def crossfit_structure(bench: Bench, name: str, parts: Parts) -> object:
        fitted = real(bench, name, parts)
        if len(academy.asked) == 3:
            return replace(fitted, outputs=torch.full_like(fitted.outputs, torch.nan))
        return fitted

    def broken(number: int, member: Member) -> Member:
        if number == 1:
            raise ValueError("its loss exploded")
        return replace(member, history=()) if number == 3 else member

    monkeypatch.setattr(searching_room, "crossfit_structure", crossfit_structure)
    academy.broken = broken
    events: list[progress.Event] = []
    with progress.listen(events.append):
        study = academy.search(first_pass, options=replace(ASKED, trials=5))
    why = [trial.why for trial in study.trials]
    assert why == [
        None,
        "ValueError: its loss exploded",
        "it gave nan",
        "RecipeError: no time was left to finish an epoch",
        None,
    ]
    names = [g.members[0].group.name.rsplit("-", 1)[1] for g in academy.taken]
    assert names == ["7", "11"], "what a failed trial has trained must not join any fusion"
    assert study.best in (study.trials[0], study.trials[4])
    warned = [event.phase.text for event in events if event.what == "warning"]
    assert len(warned) == 3 and warned[0].startswith("trial 1 failed and is left out: ValueError")
    ended = [event.phase.text for event in events if event.what == "finished"]
    assert ended[-1].startswith("5 families, best loss 0.") and ended[-1].endswith(", 3 failed")


def test_a_search_that_goes_on_takes_up_what_was_trained_and_asks_what_it_would_have_asked(
    first_pass, academy, bench: Bench
) -> None:
    def broken(number: int, member: Member) -> Member:
        if number == 1:
            raise ValueError("its loss exploded")
        return member

    options = replace(ASKED, trials=8)  # after six at random the sampler learns
    straight = replace(academy, broken=broken)
    whole = straight.search(first_pass, options=options)
    for n in (1, 2, 7):
        later = Academy(bench.members[2:], broken if n == 1 else academy.broken)
        study = later.search(first_pass, options=options, known=tuple(whole.trials[:n]))
        assert what(study) == what(whole)
        assert [g.members[0].group.name for g in later.taken] == [
            g.members[0].group.name for g in straight.taken
        ]
        assert later.kept == list(range(n + 1, 9))


def what(study: Study) -> list[tuple[object, ...]]:
    return [(t.number, t.params, t.state, t.value, t.why) for t in study.trials]


def test_families_are_trained_until_time_is_up(first_pass, academy) -> None:
    study = academy.search(
        first_pass,
        options=replace(ASKED, trials=None),
        has_time=lambda study: len(study.trials) < 2,
    )
    assert len(study.trials) == 2


@pytest.mark.parametrize(
    ("longest", "slowest", "fusing", "fits"),
    [
        (1.9, 0.0, 0.0, True),  # of 60 s, 58 are gone
        (2.1, 0.0, 0.0, False),
        (0.0, 2.1, 0.0, False),
        (0.5, 1.0, 0.07, True),  # 4 members, and 3 families of 3, fused in 0.91 s
        (0.5, 1.0, 0.08, False),
    ],
)
def test_a_family_fits_in_if_all_can_be_fused_once_more(longest, slowest, fusing, fits) -> None:
    clock = Clock(100.0, began=time.monotonic() - 58)
    study = Study({"rate": Between(0.0, 1.0)}, seed=0)
    for seconds in (slowest, slowest / 2):
        study.tell({"rate": 0.5}, 1.0, seconds=seconds)
    room = families_fit(clock, n_members=4, longest=longest, fusing=fusing)
    assert room(study) is fits


def fusions(
    bench: Bench, wanted: list[str], *, trials: int | None = 4, known: tuple[Trial, ...] = ()
) -> tuple[Study | None, list[Row], list[int]]:
    kept: list[int] = []
    options = replace(ASKED, trials=trials)
    study, rows = search_fusions(
        bench,
        wanted,
        Clock(None),
        options=options,
        known=known,
        keep=lambda study: kept.append(len(study.trials)),
    )
    return study, rows, kept


@pytest.fixture
def families(bench: Bench) -> Bench:
    """Each member a group of its own: so any of them may feed a fusion."""
    members = tuple(
        replace(m, group=replace(m.group, name=f"mlp-{i}")) for i, m in enumerate(bench.members)
    )
    return replace(bench, members=members)


def test_the_best_choice_of_members_becomes_a_row_that_says_it_was_searched(families) -> None:
    study, rows, kept = fusions(families, ["stacking", "selection"])
    assert kept == list(range(1, 9))  # twice as many as families
    for row in rows:
        own = [t for t in study.trials if t.params["structure"] == row.kind]
        best = min(own, key=lambda trial: trial.value)
        loss = float(row_loss(row.outputs, families.valid.target, families.task).mean())
        assert loss == pytest.approx(best.value, rel=1e-5)
        assert row.parts.endswith(", searched") and row.parts.startswith("mlp")
        used = {f"mlp-0.{i}" for i in range(4) if best.params[f"uses mlp-{i}"]}
        assert set(row.names) <= used or len(used) < 2
        assert row.relearn is not None
    tried = {t.params["structure"] for t in study.trials}
    assert {row.kind for row in rows} == tried  # there was none of its kind to beat


@pytest.mark.parametrize(("own", "n"), [(1e-6, 0), (9.0, 1)])
def test_a_row_is_added_only_if_it_beats_what_its_kind_made_by_itself(families, own, n) -> None:
    target = families.valid.target
    sure = torch.nn.functional.one_hot(target, 2).float() * 2 - 1
    outputs = sure * (20.0 if own < 1 else -9.0)
    other = Row("selection", "", outputs=-9 * sure)
    here = replace(families, rows=[Row("stacking", "", outputs=outputs), other])
    _, rows, _ = fusions(here, ["stacking"])
    assert [row.kind for row in rows] == ["stacking"] * n


def test_known_fusions_are_not_tried_again_unless_members_were_added(families) -> None:
    whole, rows, _ = fusions(families, ["stacking", "average"])
    study, again, kept = fusions(families, ["stacking", "average"], known=tuple(whole.trials[:5]))
    assert what(study) == what(whole) and kept == [6, 7, 8]
    for one, other in zip(rows, again, strict=True):
        assert one.parts == other.parts and torch.equal(one.outputs, other.outputs)
    fewer = replace(families, members=families.members[:3])
    study, _, kept = fusions(fewer, ["stacking", "average"], known=tuple(whole.trials))
    assert kept == list(range(1, 9)) and "uses mlp-3" not in study.trials[0].params


def test_a_fusion_that_raises_is_marked_and_makes_no_row(families, monkeypatch) -> None:
    real = searching_room.crossfit_structure

    def crossfit_structure(bench: Bench, name: str, parts: Parts) -> object:
        if name == "stacking":
            raise ArithmeticError("it does not converge")
        return real(bench, name, parts)

    monkeypatch.setattr(searching_room, "crossfit_structure", crossfit_structure)
    study, rows, _ = fusions(families, ["stacking", "average"])
    failed = {t.why for t in study.trials if t.params["structure"] == "stacking"}
    assert failed == {"ArithmeticError: it does not converge"}
    assert [row.kind for row in rows] == ["average"]


def test_where_there_is_nothing_to_choose_there_is_no_study(families) -> None:
    assert fusions(families, [])[:2] == (None, [])
    lonely = replace(families, members=families.members[:1])
    assert fusions(lonely, ["stacking"])[:2] == (None, [])


def test_with_a_time_limit_alone_fusions_end_by_themselves(families, monkeypatch) -> None:
    monkeypatch.setattr(searching_room, "MOST_FUSIONS", 3)
    study, _, kept = fusions(families, ["average"], trials=None)
    assert kept == [1, 2, 3] and len(study.trials) == 3 < MOST_FUSIONS


def test_no_fusion_is_begun_when_its_time_is_up(families) -> None:
    late = Clock(10.0, began=time.monotonic() - 8)
    study, rows = search_fusions(
        families, ["average"], late, options=ASKED, known=(), keep=lambda study: None
    )
    assert study.trials == [] and rows == []


def test_labels_of_a_fold_do_not_reach_its_rows_through_the_search(families) -> None:
    # the choice of members saw all of validation, but heads are cross-fitted for every choice
    turned = torch.where(families.folds == 3, 1 - families.valid.target, families.valid.target)
    other = replace(families, valid=Rows(families.valid.inputs, turned))
    params = {"structure": "stacking", **{f"uses mlp-{i}": i != 2 for i in range(4)}}
    trial = Trial(0, params, "complete", 0.0, 0.0)
    rows = [fusions(b, ["stacking"], trials=0, known=(trial,))[1][0] for b in (families, other)]
    held = families.folds == 3
    torch.testing.assert_close(rows[0].outputs[held], rows[1].outputs[held], rtol=1e-4, atol=1e-4)
