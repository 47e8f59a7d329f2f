from __future__ import annotations

from collections import Counter

import pytest

from alnico.errors import RecipeError, UnknownNameError
from alnico.fitting.plan import ARCHITECTURES, SCHEMES, Group, Sketch, first_pass, make_group
from alnico.networks import Architecture
from alnico.types import Inputs

TABLE = Inputs(numbers=3, categories=(4, 2))
TEXT = Inputs(words=50, bag=80)
BOTH = Inputs(numbers=3, missing=1, categories=(4,), words=50, bag=80)


PLAIN = Sketch(Architecture("mlp"), (("adamw", 2e-3), ("sgd", 3e-2)), (0, 1))


def names(groups: list[Group]) -> set[str]:
    return {group.architecture.name for group in groups}


def seeds(groups: list[Group]) -> list[int]:
    return [setting.seed for group in groups for setting in group.settings]


def test_every_architecture_that_can_read_the_table_is_trained_and_no_other() -> None:
    table, text = {"mlp", "resnet", "gated", "dcn"}, {"text_bag", "text_gru"}
    assert set(ARCHITECTURES) == {*table, *text, "mixed"}
    assert names(first_pass(TABLE, 1_000, seed=0)) == table
    assert names(first_pass(TEXT, 1_000, seed=0)) == text
    assert names(first_pass(BOTH, 1_000, seed=0)) == table | text | {"mixed"}


def test_both_encodings_of_numbers_are_read_and_all_five_optimisers_used() -> None:
    groups = first_pass(TABLE, 1_000, seed=0)
    assert {group.architecture.encoding for group in groups} == {"quantile", "log"}
    used = {setting.optimiser for group in groups for setting in group.settings}
    assert used == {"sgd", "adam", "adamw", "nadam", "rmsprop"}


@pytest.mark.parametrize("inputs", [TABLE, TEXT, BOTH])
def test_no_two_members_share_a_seed_or_a_group_name(inputs: Inputs) -> None:
    groups = first_pass(inputs, 1_000, seed=3)
    later = [make_group(PLAIN, number, 1_000, seed=3) for number in range(len(groups), 20)]
    groups += later
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
    apart = [group for group in groups if group.together == "apart"]
    sizes = [n for group in apart for n in Counter(group.starts).values()]
    assert max(sizes) >= 3 and sizes.count(1) >= 3


def test_allowed_optimisers_are_used_alone_and_in_turn() -> None:
    groups = first_pass(BOTH, 1_000, seed=0, allowed=("sgd", "rmsprop"))
    used = [[setting.optimiser for setting in group.settings] for group in groups]
    assert all(row == (["sgd", "rmsprop"] * 3)[: len(row)] for row in used)
    rates = {s.optimiser: s.rate for group in groups for s in group.settings}
    assert rates["sgd"] > 5 * rates["rmsprop"]


def test_only_the_named_architectures_are_trained() -> None:
    assert names(first_pass(BOTH, 1_000, seed=0, only=("text_gru", "dcn"))) == {"text_gru", "dcn"}


def test_an_unknown_optimiser_points_to_the_right_one() -> None:
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


def schemes(groups: list[Group]) -> list[tuple[str, str]]:
    return [(group.architecture.name, group.together) for group in groups]


def test_each_scheme_is_run_but_only_apart_by_every_architecture() -> None:
    found = schemes(first_pass(TABLE, 1_000, seed=0))
    apart = [name for name, together in found if together == "apart"]
    assert sorted(apart) == ["dcn", "gated", "mlp", "resnet"]
    assert [together for _, together in found if together != "apart"] == ["shared", "papa"]
    assert set(SCHEMES) == {"apart", "shared", "papa"}


def test_named_schemes_alone_are_run_and_the_first_by_every_architecture() -> None:
    one = schemes(first_pass(TABLE, 1_000, seed=0, schemes=("papa",), only=("mlp", "dcn")))
    assert one == [("mlp", "papa"), ("dcn", "papa")]
    two = schemes(first_pass(TABLE, 1_000, seed=0, schemes=("papa", "shared"), only=("mlp", "dcn")))
    assert two == [("mlp", "shared"), ("dcn", "shared"), ("mlp", "papa")]


def test_only_members_whose_weights_are_averaged_share_their_start() -> None:
    for group in first_pass(BOTH, 1_000, seed=0):
        if group.together == "papa":
            assert set(group.starts) == {0} and len(group.starts) > 1
        if group.together == "shared":
            assert len(set(group.starts)) == len(group.starts) > 1


def test_slow_networks_come_last_for_time_may_be_short() -> None:
    assert names(first_pass(TEXT, 1_000, seed=0)[-1:]) == {"text_gru"}
    found = schemes(first_pass(TEXT, 1_000, seed=0))
    assert found.index(("text_bag", "papa")) < found.index(("text_gru", "apart"))


def test_a_group_follows_from_its_number_and_the_seed_of_the_run() -> None:
    group = make_group(PLAIN, 7, 1_000, seed=2)
    assert group.name == "mlp-7" and group.begins_from is None
    assert [(s.optimiser, s.rate) for s in group.settings] == [("adamw", 2e-3), ("sgd", 3e-2)]
    assert [s.weight_decay for s in group.settings] == [1e-2, 0.0]
    assert group == make_group(PLAIN, 7, 1_000, seed=2)
    others = [make_group(PLAIN, 8, 1_000, seed=2), make_group(PLAIN, 7, 1_000, seed=3)]
    assert not set(seeds([group])) & set(seeds(others))
