from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from alnico.data.batches import Rows
from alnico.fitting import Bench, Row, kinds
from alnico.fitting.kinds.joined import crossfit_structure, join
from alnico.fitting.rows import calibrate
from alnico.structures import Parts, structures

STRUCTURES = ("average", "selection", "stacking", "concat", "attention")
SOUPS = ("soup_uniform", "soup_greedy", "soup_learned")


def calibrated_loss(row: Row, bench: Bench) -> float:
    calibrate(row, bench.valid.target, bench.folds, bench.task)
    said = row.valid_prediction[np.arange(len(bench.valid)), bench.valid.target]
    return float(-np.log(said).mean())


def test_the_blind_average_of_all_members_stands_beside_the_chosen_one(made, bench) -> None:
    chosen, blind = made["average"]
    assert blind.parts == "all 4 members" and len(blind.nets) == 4
    likely = torch.stack([m.outputs.logits.softmax(-1) for m in bench.members]).mean(0)
    torch.testing.assert_close(blind.outputs.softmax(-1), likely, rtol=1e-4, atol=1e-6)
    assert len(chosen.nets) <= 4 and chosen.parts == f"mlp x{len(chosen.nets)}".removesuffix(" x1")


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_fusion_costs_what_its_members_cost_and_its_own_fitting(made, bench, name: str) -> None:
    named = {m.name: m for m in bench.members}
    for row in made[name]:
        assert row.nets == tuple(named[name].net for name in row.names)
        cost = sum(named[name].seconds for name in row.names)
        assert cost <= row.seconds < cost + 10


@pytest.mark.parametrize("name", STRUCTURES[1:])
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
        seen = float(F.cross_entropy(row.network.eval()(bench.valid.inputs), noise.valid.target))
    honest = calibrated_loss(row, noise)
    assert honest > entropy - 0.01 and honest > best - 0.01  # there is nothing to know
    assert name == "selection" or seen < honest  # though the final head fits what it saw


def test_one_member_alone_makes_no_fusion(bench: Bench) -> None:
    lonely = replace(bench, members=bench.members[:1])
    for name in (*STRUCTURES, *SOUPS):
        assert not list(kinds[name](lonely)), name
    assert len(list(kinds["single"](lonely))) == 1


def test_only_some_members_may_be_joined(bench: Bench) -> None:
    row = join(bench, "concat", bench.members[1:3])
    assert set(row.names) <= {"mlp-0.1", "mlp-0.2"} and row.kind == "concat"
    parts = Parts.of([m.outputs for m in bench.members[1:3]])
    again = crossfit_structure(bench, "concat", parts)
    torch.testing.assert_close(row.outputs, again.outputs)


@pytest.mark.parametrize("name", ["stacking", "concat", "attention"])
def test_a_structure_is_learned_again_over_its_members_from_the_named_rows_alone(bench, name):
    row = join(bench, name, bench.members)
    rows = torch.arange(0, len(bench.valid), 2)
    named = {m.name: m.outputs for m in bench.members}
    parts = Parts.of([named[name] for name in row.names])
    by_hand = structures[name].learn(parts.rows(rows), bench.valid.target[rows], bench.task)
    torch.testing.assert_close(row.relearn(rows)(parts), by_hand(parts))


def test_what_learned_from_validation_rows_can_be_learned_again(made) -> None:
    # what cannot would teach a student labels that it is then judged by
    for name in STRUCTURES:
        assert made[name][0].relearn is not None, name
    assert made["average"][1].relearn is None  # the blind average learned nothing


def test_a_shared_row_is_the_mean_of_its_members_logits(allied: Bench) -> None:
    (row,) = kinds["shared"](allied)
    members = allied.members[2:5]
    assert row.names == ("mlp-1.0", "mlp-1.1", "mlp-1.2") and row.parts == "mlp x3"
    mean = sum(m.outputs.logits for m in members) / 3
    torch.testing.assert_close(row.outputs, mean, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        said = row.network.eval()(allied.valid.inputs)
    torch.testing.assert_close(said, mean, rtol=1e-4, atol=1e-5)
    # it is what their training watched
    best = min(epoch.valid_loss for epoch in members[0].history)
    assert float(F.cross_entropy(mean, allied.valid.target)) == pytest.approx(best, abs=1e-4)
    assert not list(kinds["shared"](replace(allied, members=allied.members[:2])))
