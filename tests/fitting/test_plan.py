from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from alnico.errors import RecipeError, UnknownNameError
from alnico.fitting.plan import Group, first_pass, later_passes
from alnico.networks import build
from alnico.types import Inputs

TABLE = Inputs(numbers=3, categories=(4, 2))
TEXT = Inputs(words=50, bag=80)
BOTH = Inputs(numbers=3, missing=1, categories=(4,), words=50, bag=80)


def names(groups: list[Group]) -> set[str]:
    return {group.architecture.name for group in groups}


def seeds(groups: list[Group]) -> list[int]:
    return [setting.seed for group in groups for setting in group.settings]


def test_every_architecture_that_can_read_the_table_is_trained_and_no_other() -> None:
    table, text = {"mlp", "resnet", "gated", "dcn"}, {"text_bag", "text_gru"}
    assert names(first_pass(TABLE, 1_000, seed=0)) == table
    assert names(first_pass(TEXT, 1_000, seed=0)) == text
    assert names(first_pass(BOTH, 1_000, seed=0)) == table | text


def test_both_encodings_of_numbers_are_read_and_all_five_optimisers_used() -> None:
    groups = first_pass(TABLE, 1_000, seed=0)
    assert {group.architecture.encoding for group in groups} == {"quantile", "log"}
    used = {setting.optimiser for group in groups for setting in group.settings}
    assert used == {"sgd", "adam", "adamw", "nadam", "rmsprop"}


@pytest.mark.parametrize("inputs", [TABLE, TEXT, BOTH])
def test_no_two_members_share_a_seed_or_a_group_name(inputs: Inputs) -> None:
    first = first_pass(inputs, 1_000, seed=3)
    groups = [*first, *islice(later_passes(first, 1_000, seed=3), 20)]
    assert max(Counter(seeds(groups)).values()) == 1
    assert len({group.name for group in groups}) == len(groups)


def test_another_run_seed_gives_other_members_and_the_same_one_the_same() -> None:
    assert first_pass(BOTH, 1_000, seed=4) == first_pass(BOTH, 1_000, seed=4)
    one, other = (set(seeds(first_pass(BOTH, 1_000, seed=s))) for s in (4, 5))
    assert not one & other


@pytest.mark.parametrize("inputs", [TABLE, TEXT])
def test_there_is_a_family_to_make_soups_of_beside_members_of_other_starts(inputs: Inputs) -> None:
    groups = first_pass(inputs, 1_000, seed=0)
    assert all(len(group.starts) == len(group.settings) for group in groups)
    sizes = [n for group in groups for n in Counter(group.starts).values()]
    assert max(sizes) >= 3 and sizes.count(1) >= 3


def test_allowed_optimisers_are_used_alone_and_in_turn() -> None:
    groups = first_pass(BOTH, 1_000, seed=0, allowed=("sgd", "rmsprop"))
    used = [[setting.optimiser for setting in group.settings] for group in groups]
    assert all(row == (["sgd", "rmsprop"] * 3)[: len(row)] for row in used)
    rates = {s.optimiser: s.rate for group in groups for s in group.settings}
    assert rates["sgd"] > 5 * rates["rmsprop"]
    later = next(later_passes(groups, 1_000, seed=0, allowed=("sgd",)))
    assert {setting.optimiser for setting in later.settings} == {"sgd"}


def test_only_the_named_architectures_are_trained() -> None:
    assert names(first_pass(BOTH, 1_000, seed=0, only=("text_gru", "dcn"))) == {"text_gru", "dcn"}


def test_an_unknown_name_points_to_the_right_one() -> None:
    with pytest.raises(UnknownNameError, match=r"no architecture 'resnett'(.|\n)*'resnet'"):
        first_pass(TABLE, 1_000, seed=0, only=("mlp", "resnett"))
    with pytest.raises(UnknownNameError, match=r"no optimiser 'adamx'(.|\n)*did you mean 'adam"):
        first_pass(TABLE, 1_000, seed=0, allowed=("adamx",))


def test_an_architecture_that_cannot_read_the_table_is_refused() -> None:
    with pytest.raises(RecipeError, match="none of the architectures text_gru can read this table"):
        first_pass(TABLE, 1_000, seed=0, only=("text_gru",))


@pytest.mark.parametrize("n_rows", [30, 100, 10_000, 1_000_000])
@pytest.mark.parametrize("inputs", [TABLE, TEXT])
def test_epochs_and_batches_suit_the_number_of_rows(inputs: Inputs, n_rows: int) -> None:
    for group in first_pass(inputs, n_rows, seed=0):
        steps = max(1, n_rows // group.batch_size) * group.epochs
        assert 20 <= steps <= max(2_100, 12 * n_rows // group.batch_size)
        assert 5 <= group.epochs <= 100
        assert 64 <= group.batch_size <= 1_024
        assert 2 <= group.patience < group.epochs


def test_more_rows_make_larger_batches_and_fewer_epochs() -> None:
    planned = [first_pass(TABLE, n, seed=0)[0] for n in (100, 10_000, 1_000_000)]
    assert sorted(planned, key=lambda g: g.batch_size) == planned
    assert sorted(planned, key=lambda g: -g.epochs) == planned


def test_later_passes_go_on_without_end_by_the_seed_alone() -> None:
    first = first_pass(BOTH, 1_000, seed=1)
    drawn = list(islice(later_passes(first, 1_000, seed=1), 60))
    assert drawn == list(islice(later_passes(first, 1_000, seed=1), 60))
    assert drawn != list(islice(later_passes(first, 1_000, seed=2), 60))
    assert len({group.architecture for group in drawn}) > 30
    assert names(drawn) == names(first)


def test_later_networks_can_be_built_and_share_no_start() -> None:
    first = first_pass(BOTH, 1_000, seed=1)
    for group in islice(later_passes(first, 1_000, seed=1), 60):
        assert len(set(group.starts)) == len(group.settings)
        network = build(group.architecture, BOTH, 2)
        assert sum(p.numel() for p in network.parameters()) < 1_000_000
