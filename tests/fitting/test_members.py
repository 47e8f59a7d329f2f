from __future__ import annotations

import copy
import time
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector

from alnico.data.batches import Rows, concatenate
from alnico.fitting.members import TrainedGroup, loss_of, reading, retrain, train_group
from alnico.fitting.plan import Group
from alnico.fitting.prepare import Prepared
from alnico.networks import Architecture, build
from alnico.types import Inputs, Task

BINARY, NUMBER = Task("binary", (0, 1)), Task("regression")


def weights(module: nn.Module) -> Tensor:
    return parameters_to_vector(module.parameters()).detach()


def test_members_of_a_family_lie_near_each_other_and_others_do_not(trained: TrainedGroup) -> None:
    alone, *family = (weights(member.net.module) for member in trained.members)
    within = max(float((a - b).norm()) for a in family for b in family)
    across = min(float((alone - member).norm()) for member in family)
    assert 0 < within < across / 2
    families = [member.family for member in trained.members]
    assert families == [("mlp-0", 0), ("mlp-0", 1), ("mlp-0", 1), ("mlp-0", 1)]


def test_outputs_are_what_the_network_says_of_the_validation_part(
    trained: TrainedGroup, prepared: Prepared
) -> None:
    for member in trained.members:
        with torch.no_grad():
            said = member.net.module.eval()(prepared.valid.inputs)
        torch.testing.assert_close(member.outputs.logits, said, rtol=1e-5, atol=1e-6)


def test_a_member_is_kept_at_its_best_epoch(trained: TrainedGroup, prepared: Prepared) -> None:
    for member in trained.members:
        losses = [epoch.valid_loss for epoch in member.history]
        assert member.best_epoch == 1 + losses.index(min(losses))
        loss = F.cross_entropy(member.outputs.logits, prepared.valid.target)
        assert float(loss) == pytest.approx(min(losses), abs=1e-5)


def test_members_have_names_settings_and_equal_shares_of_the_time(
    trained: TrainedGroup, group: Group
) -> None:
    assert [member.name for member in trained.members] == [f"mlp-0.{i}" for i in range(4)]
    assert tuple(member.setting for member in trained.members) == group.settings
    assert sum(member.seconds for member in trained.members) == pytest.approx(trained.seconds)
    assert trained.way == "loop"


def test_averages_are_other_networks_of_the_same_architecture(trained: TrainedGroup) -> None:
    for member in trained.members:
        for net in (member.ema, member.swa):
            assert net is not None and net.architecture == member.net.architecture
            assert not net.module.training
            apart = (weights(net.module) - weights(member.net.module)).norm()
            assert 0 < apart < weights(member.net.module).norm()


@pytest.mark.parametrize("i", [0, 2])
def test_a_member_trained_again_on_the_same_rows_is_the_same_bit_for_bit(
    trained: TrainedGroup, prepared: Prepared, i: int
) -> None:
    inputs, task = prepared.encoder.inputs, prepared.task
    member = trained.members[i]
    assert member.best_epoch < len(member.history) < member.group.epochs  # it stopped early
    again = retrain(member, prepared.train, inputs=inputs, task=task)
    state = member.net.module.state_dict()
    for name, tensor in again.module.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_a_member_trained_on_more_rows_is_near_but_not_the_same(
    trained: TrainedGroup, prepared: Prepared
) -> None:
    both = concatenate([prepared.train, prepared.valid])
    inputs, task = prepared.encoder.inputs, prepared.task
    member = trained.members[1]
    refit = retrain(member, both, inputs=inputs, task=task)
    ours, theirs = weights(refit.module), weights(member.net.module)
    assert 0 < (ours - theirs).norm() < theirs.norm()


def test_a_stack_without_dropout_trains_the_members_that_a_loop_trains(
    group: Group, prepared: Prepared
) -> None:
    plain = replace(group, architecture=replace(group.architecture, dropout=0.0), epochs=3)
    found = [
        train_group(
            plain,
            prepared.train,
            prepared.valid,
            inputs=prepared.encoder.inputs,
            task=prepared.task,
            way=way,
        )
        for way in ("loop", "stacked")
    ]
    for one, other in zip(found[0].members, found[1].members, strict=True):
        torch.testing.assert_close(one.outputs.logits, other.outputs.logits, rtol=1e-3, atol=1e-3)


def test_members_that_begin_from_a_trained_network_begin_from_its_weights(
    group: Group, prepared: Prepared, trained: TrainedGroup
) -> None:
    inputs, task = prepared.encoder.inputs, prepared.task
    warm = trained.members[0].net.module
    before = weights(warm).clone()
    begun = replace(group, starts=(0, 0, 0, 0), begins_from="mlp-0.0 (earlier)")
    at_once = time.monotonic()  # no step is taken
    late, early = (
        train_group(
            replace(begun, epochs=2),
            prepared.train,
            prepared.valid,
            inputs=inputs,
            task=task,
            way="rule",
            warm=warm,
            deadline=deadline,
        )
        for deadline in (at_once, None)
    )
    assert all(torch.equal(weights(m.net.module), before) for m in late.members)
    assert torch.equal(weights(warm), before), "what it begins from was trained itself"
    far = weights(trained.members[1].net.module) - before
    for member in early.members:
        assert 0 < (weights(member.net.module) - before).norm() < far.norm()
        assert member.family == ("mlp-0", 0)


def test_a_member_that_began_from_a_network_is_trained_again_from_it(
    group: Group, prepared: Prepared, trained: TrainedGroup
) -> None:
    inputs, task = prepared.encoder.inputs, prepared.task
    warm = trained.members[0].net.module
    begun = replace(group, starts=(0, 0, 0, 0), epochs=3)
    found = train_group(
        begun, prepared.train, prepared.valid, inputs=inputs, task=task, way="loop", warm=warm
    )
    member = found.members[2]
    again = retrain(member, prepared.train, inputs=inputs, task=task, warm=warm)
    assert torch.equal(weights(again.module), weights(member.net.module))
    cold = retrain(member, prepared.train, inputs=inputs, task=task)
    assert not torch.equal(weights(cold.module), weights(member.net.module))


@pytest.mark.parametrize("together", ["shared", "papa"])
def test_members_that_cooperate_are_kept_at_the_same_epoch(
    group: Group, prepared: Prepared, together: str
) -> None:
    allied = replace(group, starts=(0, 0, 0, 0), together=together, epochs=4)
    found = train_group(
        allied,
        prepared.train,
        prepared.valid,
        inputs=prepared.encoder.inputs,
        task=prepared.task,
        way="rule",
    )
    assert len({member.best_epoch for member in found.members}) == 1
    losses = [[epoch.valid_loss for epoch in member.history] for member in found.members]
    assert all(row == losses[0] for row in losses)  # what they are judged by is one


def test_a_deadline_ends_training_with_what_there_is(group: Group, prepared: Prepared) -> None:
    inputs, task = prepared.encoder.inputs, prepared.task
    late = train_group(
        group,
        prepared.train,
        prepared.valid,
        inputs=inputs,
        task=task,
        way="rule",
        deadline=time.monotonic(),
    )
    for member, setting in zip(late.members[:2], group.settings[:2], strict=True):
        assert member.best_epoch == 0 and not member.history and member.stopped == "deadline"
        start = build(group.architecture, inputs, task.n_outputs, seed=setting.seed)
        assert torch.equal(weights(member.net.module), weights(start))


def test_rows_that_train_are_left_as_they_were(group: Group, prepared: Prepared) -> None:
    before = copy.deepcopy(prepared.train)
    short = replace(group, settings=group.settings[:1], starts=(0,), epochs=1)
    train_group(
        short,
        prepared.train,
        prepared.valid,
        inputs=prepared.encoder.inputs,
        task=prepared.task,
        way="rule",
    )
    for name, tensor in prepared.train.inputs.items():
        assert torch.equal(tensor, before.inputs[name])


def test_a_network_is_fed_with_what_it_reads_and_nothing_else() -> None:
    inputs = Inputs(numbers=2, missing=1, categories=(3,), words=9, bag=12)
    batch = {
        "quantile": torch.rand(3, 2),
        "log": torch.rand(3, 2),
        "missing": torch.zeros(3, 1),
        "categories": torch.ones(3, 1, dtype=torch.int64),
        "words": torch.tensor([[4, 5, 0, 0], [7, 0, 0, 0], [1, 2, 3, 4]]),
        "bag": torch.ones(3, 2, dtype=torch.int64),
        "bag_weight": torch.ones(3, 2),
    }
    rows = Rows(batch, torch.zeros(3))
    read = {name: reading(rows, Architecture(name), inputs) for name in ("mlp", "text_gru")}
    log = reading(rows, Architecture("dcn", "log"), inputs)
    assert set(read["mlp"].inputs) == {"quantile", "missing", "categories"}
    assert set(log.inputs) == {"log", "missing", "categories"}
    assert set(reading(rows, Architecture("text_bag"), inputs).inputs) == {"bag", "bag_weight"}
    assert set(read["text_gru"].inputs) == {"words"}
    assert read["text_gru"].length.tolist() == [2, 1, 4]
    assert read["mlp"].length is None


def test_the_loss_is_the_mean_of_each_task() -> None:
    output, classes = torch.randn(8, 2), torch.arange(8) % 2
    expected = F.cross_entropy(output, classes)
    torch.testing.assert_close(loss_of(BINARY)(output, classes), expected)
    values, target = torch.randn(8, 1), torch.randn(8)
    expected = F.mse_loss(values[:, 0], target)
    torch.testing.assert_close(loss_of(NUMBER)(values, target), expected)
