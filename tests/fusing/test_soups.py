from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from alnico.errors import IncompatibleModelsError
from alnico.fusing import Family, soup_greedy, soup_learned, soup_uniform

SOUPS = (soup_uniform, soup_greedy, soup_learned)
TRAIN, REST = torch.arange(800, 1_300), torch.arange(1_300, 1_797)


@pytest.fixture
def family(relatives, digits, task) -> Family:
    return Family(relatives, *digits, task)


def loss_of(module: nn.Module, digits, rows: torch.Tensor) -> float:
    x, y = digits
    with torch.no_grad():
        return float(F.cross_entropy(module.eval()(x[rows]), y[rows]))


def test_the_uniform_soup_is_the_averaged_model_of_torch(digits, task) -> None:
    members = [nn.Sequential(nn.Linear(64, 5), nn.BatchNorm1d(5), nn.Linear(5, 10)) for _ in "abc"]
    averaged = AveragedModel(members[0], use_buffers=True)
    for member in members:
        member[1].running_mean.normal_()
        averaged.update_parameters(member)
    soup = soup_uniform(Family(members, *digits, task), TRAIN).network()
    theirs = averaged.module.state_dict()
    for name, tensor in soup.state_dict().items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-5, atol=1e-6)


def test_a_soup_of_relatives_is_better_than_they_are_on_average(relatives, digits, task) -> None:
    family = Family(relatives[:3], *digits, task)
    soup = loss_of(soup_uniform(family, TRAIN).network(), digits, REST)
    assert soup < sum(loss_of(member, digits, REST) for member in relatives[:3]) / 3


def test_a_soup_of_strangers_is_ruined(strangers, digits, task) -> None:
    soup = loss_of(soup_uniform(Family(strangers, *digits, task), TRAIN).network(), digits, REST)
    assert soup > 2.5 * max(loss_of(member, digits, REST) for member in strangers)


@pytest.mark.parametrize("rows", [TRAIN, REST])
def test_the_greedy_soup_is_the_recipe_as_a_loop(relatives, digits, family, rows) -> None:
    alone = [loss_of(member, digits, rows) for member in relatives]
    order = sorted(range(4), key=alone.__getitem__)
    kept, best = order[:1], alone[order[0]]
    for candidate in order[1:]:
        averaged = AveragedModel(relatives[kept[0]])
        for i in [*kept, candidate]:
            averaged.update_parameters(relatives[i])
        loss = loss_of(averaged.module, digits, rows)
        if loss <= best:
            kept, best = [*kept, candidate], loss
    soup = soup_greedy(family, rows)
    assert soup.weights.nonzero().flatten().tolist() == sorted(kept)
    assert loss_of(soup.network(), digits, rows) == pytest.approx(best, rel=1e-4)
    assert best <= min(alone)


def test_a_member_gone_astray_is_left_out(family: Family) -> None:
    greedy, learned = soup_greedy(family, TRAIN).weights, soup_learned(family, TRAIN).weights
    assert greedy[3] == 0 and learned[3] < 0.05
    for weights in (greedy, learned):
        assert weights.sum() == pytest.approx(1) and (weights >= 0).all()


def test_the_learned_soup_is_not_worse_than_the_uniform_one(relatives, digits, task) -> None:
    for members in (relatives, relatives[:2], relatives[:1], relatives[2:]):
        family = Family(members, *digits, task)
        for rows in (TRAIN, REST[:40], REST[:1]):
            uniform, learned = (make(family, rows).weights for make in (soup_uniform, soup_learned))
            assert family.loss(learned, rows) <= family.loss(uniform, rows)


def test_the_learned_soup_finds_the_best_mixture_of_two(relatives, digits, task) -> None:
    family = Family([relatives[0], relatives[3]], *digits, task)
    grid = [torch.tensor([w, 1 - w]) for w in torch.linspace(0, 1, 41).tolist()]
    best = min(family.loss(weights, TRAIN) for weights in grid)
    assert family.loss(soup_learned(family, TRAIN).weights, TRAIN) < best + 0.02


@pytest.mark.parametrize("make", SOUPS)
def test_only_the_given_rows_are_learned_from(relatives, digits, task, make) -> None:
    x, y = (part.clone() for part in digits)
    x[REST], y[REST] = torch.rand(len(REST), 64), 0
    weights = [make(Family(relatives, *data, task), TRAIN).weights for data in (digits, (x, y))]
    assert torch.equal(*weights)


@pytest.mark.parametrize("make", SOUPS)
def test_members_are_left_as_they_were(relatives, digits, task, make) -> None:
    members = [member.train() for member in copy.deepcopy(relatives)]
    before = copy.deepcopy([member.state_dict() for member in members])
    make(Family(members, *digits, task), TRAIN).network()
    for member, state in zip(members, before, strict=True):
        assert member.training and all(p.grad is None for p in member.parameters())
        assert all(torch.equal(state[name], p) for name, p in member.state_dict().items())


@pytest.mark.parametrize("make", SOUPS)
def test_a_soup_repeats_itself_whatever_the_random_state(relatives, digits, task, make) -> None:
    weights = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        members = [member.train() for member in copy.deepcopy(relatives)]  # dropout on
        weights.append(make(Family(members, *digits, task), TRAIN).weights)
    assert torch.equal(*weights)


@pytest.mark.parametrize("make", SOUPS)
def test_the_outputs_of_a_soup_are_those_of_its_network(family, digits, make) -> None:
    soup = make(family, TRAIN)
    rows = torch.tensor([1_500, 3, 900])
    network = soup.network()
    assert not network.training
    torch.testing.assert_close(soup.outputs(rows), network(digits[0][rows]), rtol=1e-5, atol=1e-5)


def test_a_network_is_run_once_for_each_mixture(family, digits, monkeypatch) -> None:
    runs = []
    read = family.network
    monkeypatch.setattr(family, "network", lambda weights: runs.append(weights) or read(weights))
    for _ in range(3):
        family.outputs(torch.full((4,), 0.25))
        family.outputs(torch.tensor([1.0, 0, 0, 0]))
    assert len(runs) == 2


def test_networks_of_different_widths_make_no_soup(digits, task) -> None:
    members = [nn.Sequential(nn.Linear(64, w), nn.Linear(w, 10)) for w in (4, 5)]
    with pytest.raises(
        IncompatibleModelsError, match=r"0\.weight +model 1 \[4, 64\] +model 2 \[5, 64\]"
    ):
        soup_uniform(Family(members, *digits, task), TRAIN).network()
