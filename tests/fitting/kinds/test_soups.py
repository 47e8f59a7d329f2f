from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

import alnico
from alnico.data.batches import Rows
from alnico.fitting import Bench, kinds

SOUPS = ("soup_uniform", "soup_greedy", "soup_learned")


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


@pytest.mark.parametrize("name", SOUPS[1:])
def test_a_validation_row_is_never_judged_by_weights_that_were_chosen_on_it(bench, name) -> None:
    labels = torch.where(bench.folds == 3, 1 - bench.valid.target, bench.valid.target)
    turned = replace(bench, valid=Rows(bench.valid.inputs, labels))
    (one,), (other,) = (list(kinds[name](b)) for b in (bench, turned))
    held = bench.folds == 3
    torch.testing.assert_close(one.outputs[held], other.outputs[held], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", SOUPS)
def test_members_that_were_trained_for_each_other_are_in_no_soup(allied: Bench, name) -> None:
    # the three of papa share their start, but a kind of their own averages them
    assert not list(kinds[name](allied))


def test_papa_is_the_uniform_average_of_its_members_parameters(allied: Bench) -> None:
    (row,) = kinds["papa"](allied)
    members = allied.members[5:]
    assert row.parts == "mlp-2, 3 members" and row.seconds == sum(m.seconds for m in members)
    own = row.nets[0].module.state_dict()
    merged = alnico.merge([m.net.module for m in members], "linear").state_dict()
    for key, tensor in own.items():
        by_hand = torch.stack([m.net.module.state_dict()[key] for m in members]).double().mean(0)
        torch.testing.assert_close(tensor.double(), by_hand, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(tensor, merged[key], rtol=1e-5, atol=1e-7)
    with torch.no_grad():
        said = row.network.eval()(allied.valid.inputs)
    torch.testing.assert_close(row.outputs, said, rtol=1e-4, atol=1e-5)


def test_without_members_that_pulled_at_each_other_there_is_no_papa(bench: Bench) -> None:
    assert not list(kinds["papa"](bench))
