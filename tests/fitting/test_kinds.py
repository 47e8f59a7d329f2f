from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from alnico.data.batches import Rows
from alnico.errors import AlnicoError, UnknownNameError
from alnico.fitting import Bench, kind, kinds
from alnico.fitting.kinds import describe
from alnico.fitting.rows import Row, calibrate

SOUPS = ("soup_uniform", "soup_greedy", "soup_learned")
STRUCTURES = ("average", "selection", "stacking", "concat", "attention")
LEARNED = (*SOUPS[1:], *STRUCTURES[1:])
ALL = ("linear", "single", "swa", "ema", *SOUPS, *STRUCTURES)


@pytest.fixture(scope="module")
def made(bench: Bench) -> dict[str, list[Row]]:
    torch.set_num_threads(1)
    return {name: list(kinds[name](bench)) for name in ALL}


def loss(outputs: torch.Tensor, bench: Bench) -> float:
    return float(F.cross_entropy(outputs, bench.valid.target))


def calibrated_loss(row: Row, bench: Bench) -> float:
    calibrate(row, bench.valid.target, bench.folds, bench.task)
    said = row.valid_prediction[np.arange(len(bench.valid)), bench.valid.target]
    return float(-np.log(said).mean())


def test_the_kinds_are_these_and_a_misspelt_one_points_to_the_right_one() -> None:
    assert sorted(ALL) == sorted(kinds)
    with pytest.raises(UnknownNameError, match=r"no kind 'stackin'(.|\n)*did you mean 'stacking'"):
        kinds["stackin"]


def test_every_kind_gives_rows_of_its_own_name_with_outputs_and_a_cost(made, bench) -> None:
    for name, rows in made.items():
        assert rows, name
        for row in rows:
            assert row.kind == name and row.skipped is None and row.seconds > 0
            assert row.outputs.shape == (len(bench.valid), 2) and row.outputs.isfinite().all()
            assert (len(row.nets) > 1) <= (row.structure is not None)


def test_a_row_of_each_member_stands_for_the_single_networks(made, bench: Bench) -> None:
    assert [row.parts for row in made["single"]] == [m.name for m in bench.members]
    for row, member in zip(made["single"], bench.members, strict=True):
        assert row.nets == (member.net,) and row.outputs is member.outputs.logits


@pytest.mark.parametrize("name", ["swa", "ema"])
def test_of_the_averaged_weights_the_best_by_validation_is_shown(made, bench, name: str) -> None:
    losses = [loss(bench.read(getattr(member, name)), bench) for member in bench.members]
    best = bench.members[int(np.argmin(losses))]
    assert made[name][0].parts == best.name
    assert made[name][0].nets == (getattr(best, name),)
    assert len(made[name]) == 1


@pytest.mark.parametrize("name", SOUPS)
def test_soups_are_made_of_one_family_alone(made, bench: Bench, name: str) -> None:
    (row,) = made[name]  # the member that started elsewhere is in no family
    assert row.parts in {f"mlp-0, {n} of 3" for n in (1, 2, 3)}
    family = bench.members[1:]
    state = row.nets[0].module.state_dict()
    for key, tensor in state.items():
        stack = torch.stack([m.net.module.state_dict()[key] for m in family])
        low, high = stack.min(0).values, stack.max(0).values
        assert (tensor >= low - 1e-5).all() and (tensor <= high + 1e-5).all()


def test_the_uniform_soup_is_the_averaged_model_of_torch(made, bench: Bench) -> None:
    averaged = AveragedModel(bench.members[1].net.module)
    for member in bench.members[1:]:
        averaged.update_parameters(member.net.module)
    with torch.no_grad():
        said = averaged.module.eval()(bench.valid.inputs)
    torch.testing.assert_close(made["soup_uniform"][0].outputs, said, rtol=1e-4, atol=1e-5)


def test_the_blind_average_of_all_members_stands_beside_the_chosen_one(made, bench) -> None:
    chosen, blind = made["average"]
    assert blind.parts == "all 4 members" and len(blind.nets) == 4
    likely = torch.stack([m.outputs.logits.softmax(-1) for m in bench.members]).mean(0)
    torch.testing.assert_close(blind.outputs.softmax(-1), likely, rtol=1e-4, atol=1e-6)
    assert len(chosen.nets) <= 4 and chosen.parts == f"mlp x{len(chosen.nets)}".removesuffix(" x1")


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_fusion_costs_what_its_members_cost_and_its_own_fitting(made, bench, name: str) -> None:
    for row in made[name]:
        own = {id(net.module) for net in row.nets}
        cost = sum(m.seconds for m in bench.members if id(m.net.module) in own)
        assert cost <= row.seconds < cost + 10


@pytest.mark.parametrize("name", LEARNED)
def test_a_validation_row_is_never_judged_by_what_was_learned_from_it(bench, name: str) -> None:
    labels = torch.where(bench.folds == 3, 1 - bench.valid.target, bench.valid.target)
    turned = replace(bench, valid=Rows(bench.valid.inputs, labels))
    (one,), (other,) = (list(kinds[name](b))[:1] for b in (bench, turned))
    held = bench.folds == 3
    torch.testing.assert_close(one.outputs[held], other.outputs[held], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["stacking", "concat", "attention", "selection"])
def test_learning_by_heart_is_no_advantage(bench: Bench, name: str) -> None:
    order = torch.randperm(len(bench.valid), generator=torch.Generator().manual_seed(5))
    noise = replace(bench, valid=Rows(bench.valid.inputs, bench.valid.target[order]))
    share = float(noise.valid.target.double().mean())
    entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)
    best = min(calibrated_loss(row, noise) for row in kinds["single"](noise))
    row = next(kinds[name](noise))
    with torch.no_grad():
        seen = loss(row.network.eval()(bench.valid.inputs), noise)
    honest = calibrated_loss(row, noise)
    assert honest > entropy - 0.01 and honest > best - 0.01  # there is nothing to know
    assert name == "selection" or seen < honest  # though the final head fits what it saw


def test_one_member_alone_makes_no_fusion(bench: Bench) -> None:
    lonely = replace(bench, members=bench.members[:1])
    for name in (*STRUCTURES, *SOUPS):
        assert not list(kinds[name](lonely)), name
    assert len(list(kinds["single"](lonely))) == 1


def test_members_are_described_by_architecture_and_number(bench: Bench) -> None:
    mlp = bench.members[0]
    gru = replace(mlp.net.architecture, name="text_gru")
    other = replace(mlp, net=replace(mlp.net, architecture=gru))
    assert describe([mlp, other, mlp]) == "mlp x2, text_gru"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a test register kinds that are gone afterwards."""
    monkeypatch.setattr(kinds, "_things", dict(kinds._things))


def test_a_kind_of_ones_own_is_a_function_under_a_name(registry, bench: Bench) -> None:
    @kind("sharpest")
    def sharpest(bench: Bench) -> Iterator[Row]:
        """The member that is surest of itself."""
        member = max(bench.members, key=lambda m: float(m.outputs.logits.abs().mean()))
        yield Row("sharpest", member.name, (member.net,), outputs=member.outputs.logits)

    (row,) = kinds["sharpest"](bench)
    assert row.parts in {member.name for member in bench.members}
    with pytest.raises(AlnicoError, match="two kinds are named 'sharpest'"):
        kind("sharpest")(lambda bench: iter(()))
