from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from alnico.fitting import Bench, Options
from alnico.fitting.plan import first_pass
from alnico.fitting.space import chosen_members, family, family_space, fusion_space
from alnico.networks import build
from alnico.searching import Study
from alnico.types import Inputs

TABLE = Inputs(numbers=3, categories=(4, 2))
TEXT = Inputs(words=50, bag=80)
BOTH = Inputs(numbers=3, missing=1, categories=(4,), words=50, bag=80)
ASKED = Options("y")


def drawn(inputs: Inputs, n: int, options: Options = ASKED) -> list[dict]:
    """As many points of the space, all of them drawn at random."""
    study = Study(family_space(inputs, options), seed=1)
    points = []
    for _ in range(n):
        points.append(study.ask())
        study.tell(points[-1], None)
    return points


def test_a_space_holds_the_architectures_that_can_read_the_table() -> None:
    options = {name: space["architecture"].options for name, space in spaces().items()}
    assert set(options["table"]) == {"mlp", "resnet", "gated", "dcn"}
    assert set(options["text"]) == {"text_bag", "text_gru"}
    assert set(options["both"]) == {*options["table"], *options["text"], "mixed"}
    assert "encoding" in spaces()["table"] and "encoding" not in spaces()["text"]


def spaces() -> dict[str, dict]:
    kinds = {"table": TABLE, "text": TEXT, "both": BOTH}
    return {name: dict(family_space(inputs, ASKED)) for name, inputs in kinds.items()}


def test_what_is_asked_for_restricts_the_space() -> None:
    asked = Options("y", architectures=("dcn", "text_gru"), optimisers=("sgd",), together=("papa",))
    space = family_space(TABLE, asked)
    assert space["architecture"].options == ("dcn",)
    assert space["optimiser"].options == ("sgd",) and space["together"].options == ("papa",)
    usual = family_space(TABLE, ASKED)
    assert set(usual["optimiser"].options) == {"sgd", "adam", "adamw", "nadam", "rmsprop"}
    assert set(usual["together"].options) == {"apart", "shared", "papa"}


@pytest.mark.parametrize("inputs", [TABLE, TEXT, BOTH])
def test_every_point_is_a_family_that_can_be_built(inputs: Inputs) -> None:
    for number, params in enumerate(drawn(inputs, 25), 8):
        group = family(params, number, 1_000, seed=3)
        assert group.name == f"{params['architecture']}-{number}"
        network = build(group.architecture, inputs, 2)
        assert sum(p.numel() for p in network.parameters()) < 1_000_000
        assert group.architecture.width == params["width"]
        assert group.together == params["together"]
        assert {s.optimiser for s in group.settings} == {params["optimiser"]}
        n_members = 2 if params["architecture"] == "text_gru" else 3
        assert len(group.settings) == len(group.starts) == n_members
        seeds = [s.seed for s in group.settings]
        assert len(set(seeds)) == n_members, "members of a family differ at least in their seed"


def test_members_start_as_their_scheme_wants_them() -> None:
    (params,) = drawn(TABLE, 1)
    starts = {}
    for together in ("apart", "shared", "papa"):
        starts[together] = family({**params, "together": together}, 0, 1_000, seed=0).starts
    assert len(set(starts["shared"])) == 3  # else they would have nothing to share out
    assert len(set(starts["papa"])) == 1  # else their weights have no mean
    assert len(set(starts["apart"])) == 2  # two make a soup, one differs


def test_plain_gradient_steps_are_larger() -> None:
    (params,) = drawn(TABLE, 1)
    rate = {}
    for name in ("sgd", "adam"):
        asked = {**params, "optimiser": name, "rate": 1e-3}
        rate[name] = family(asked, 0, 1_000, seed=0).settings[0].rate
    assert rate["adam"] == pytest.approx(1e-3) and rate["sgd"] > 5 * rate["adam"]


def test_a_second_recurrent_layer_is_never_trained() -> None:
    points = [p for p in drawn(TEXT, 40) if p["architecture"] == "text_gru" and p["depth"] > 1]
    assert points
    assert all(family(p, 0, 1_000, seed=0).architecture.depth == 1 for p in points)


def test_families_share_no_seed_with_the_first_pass_or_each_other() -> None:
    first = first_pass(TABLE, 1_000, seed=5)
    later = [
        family(params, len(first) + i, 1_000, seed=5) for i, params in enumerate(drawn(TABLE, 9))
    ]
    groups = [*first, *later]
    seeds = [s.seed for group in groups for s in group.settings]
    assert len(set(seeds)) == len(seeds)
    assert len({group.name for group in groups}) == len(groups)


@pytest.fixture
def pool(bench: Bench) -> list:
    """Two members of one group, one of another, two of a third."""
    members = []
    for name, n in (("a", 2), ("b", 1), ("c", 2)):
        for i in range(n):
            member = bench.members[i]
            named = replace(member.group, name=name)
            members.append(replace(member, name=f"{name}.{i}", group=named))
    return members


def test_a_fusion_is_a_structure_and_the_groups_that_feed_it(pool) -> None:
    space = fusion_space(pool, ["concat", "average"])
    assert list(space) == ["structure", "uses a", "uses b", "uses c"]
    assert space["structure"].options == ("concat", "average")
    assert set(space["uses a"].options) == {True, False}


def test_every_choice_means_a_fusion_of_whole_groups(pool) -> None:
    found = {}
    for a, b, c in product([True, False], repeat=3):
        params = {"structure": "concat", "uses a": a, "uses b": b, "uses c": c}
        found[a, b, c] = [member.name for member in chosen_members(params, pool)]
    everyone = [member.name for member in pool]
    for uses, names in found.items():
        wanted = [n for n in everyone if uses["abc".index(n[0])]]
        assert names == (wanted if len(wanted) > 1 else everyone)
    assert found[False, True, False] == everyone  # one member alone is no fusion
    assert found[False, False, False] == everyone
    assert found[True, False, False] == ["a.0", "a.1"]


def test_rates_are_drawn_by_their_ratio() -> None:
    rates = np.array([p["rate"] for p in drawn(TABLE, 60)])
    assert rates.min() >= 5e-4 and rates.max() <= 1e-2
    assert np.median(rates) < 4e-3  # of an even draw it would be 5e-3
