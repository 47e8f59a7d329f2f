from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alnico.errors import DataError
from alnico.training.bundle import Bundle, flat_weights
from alnico.training.learner import Learner, drawing_from
from alnico.training.optimisers import Setting
from alnico.training.records import Way

CPU = torch.device("cpu")


def network(dropout: float = 0.0) -> nn.Module:
    return nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Dropout(dropout), nn.Linear(4, 3))


def learner(
    members: list[nn.Module], way: Way = "stacked", clip: float | None = None, seed: int = 0
) -> Learner:
    copies = [copy.deepcopy(member) for member in members]
    settings = [Setting("sgd", 0.1, seed=seed + row) for row in range(len(members))]
    return Learner(Bundle(range(len(members)), copies, way), settings, F.cross_entropy, clip=clip)


def data(k: int, n: int = 7) -> tuple[Tensor, Tensor]:
    return torch.randn(k, n, 5), torch.randint(3, (k, n))


@pytest.mark.parametrize("clip", [None, 0.1, 100.0])
def test_a_step_is_torchs_step_for_each_member(clip: float | None) -> None:
    members = [network() for _ in range(3)]
    together = learner(members, clip=clip)
    inputs, target = data(3)
    together.step_(inputs, target, step=0, factor=0.5)
    for row, member in enumerate(members):
        optimiser = torch.optim.SGD(member.parameters(), 0.05, momentum=0.9, nesterov=True)
        F.cross_entropy(member(inputs[row]), target[row]).backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(member.parameters(), clip)
        optimiser.step()
        torch.testing.assert_close(together.bundle.flat[row], flat_weights(member))


def test_the_losses_of_an_epoch_are_means_over_rows_not_batches() -> None:
    members = [network() for _ in range(2)]
    together = learner(members)
    together.begin_epoch()
    assert not together.has_stepped
    parts = [data(2, n) for n in (8, 2)]
    for inputs, target in parts:
        together.step_(inputs, target, step=0, factor=1e-12)  # stays where it is
    assert together.has_stepped
    for row, member in enumerate(members):
        whole = F.cross_entropy(
            torch.cat([member(inputs[row]) for inputs, _ in parts]),
            torch.cat([target[row] for _, target in parts]),
        )
        assert together.train_loss()[row] == pytest.approx(whole.item(), rel=1e-4)


@pytest.mark.parametrize("way", ["stacked", "vmap"])
def test_validation_is_without_dropout_over_all_rows(way: Way) -> None:
    members = [network(dropout=0.9).eval() for _ in range(2)]
    inputs, target = torch.randn(10, 5), torch.randint(3, (10,))
    parts = zip(inputs.split(4), target.split(4), strict=True)
    found = learner(members, way).validate(parts)
    for row, member in enumerate(members):
        assert found[row] == pytest.approx(F.cross_entropy(member(inputs), target).item(), rel=1e-5)


def test_validation_data_that_give_no_rows_are_an_error() -> None:
    with pytest.raises(DataError, match="nothing to validate on"):
        learner([network()]).validate([])


@pytest.mark.parametrize("way", ["stacked", "vmap"])
def test_dropout_repeats_with_the_seed_and_changes_with_the_step(way: Way) -> None:
    members = [network(dropout=0.5) for _ in range(2)]
    inputs, target = data(2)

    def after(seed: int, step: int) -> Tensor:
        torch.rand(seed + step)  # the global stream has no say
        one = learner(members, way, seed=seed)
        one.step_(inputs, target, step=step, factor=1.0)
        return one.bundle.flat

    assert torch.equal(after(0, 0), after(0, 0))
    assert not torch.equal(after(0, 0), after(0, 1))
    assert not torch.equal(after(0, 0), after(5, 0))


def test_members_draw_their_own_dropout() -> None:
    one = network(dropout=0.5)
    inputs, target = data(1)
    together = learner([one, one])
    together.step_(inputs.expand(2, -1, -1), target.expand(2, -1), step=0, factor=1.0)
    assert not torch.equal(*together.bundle.flat)


def test_a_user_loss_is_called_for_each_member_alone() -> None:
    seen = []

    def loss(output: Tensor, target: Tensor) -> Tensor:
        seen.append(tuple(output.shape))
        weight = target / target.sum()  # no plain mean: a reading of all rows at once would differ
        return (weight * output[:, 0]).sum()

    members = [nn.Linear(5, 1), nn.Linear(5, 1)]
    one = Learner(Bundle([0, 1], members, "stacked"), [Setting(), Setting()], loss)
    inputs, target = torch.randn(2, 7, 5), torch.rand(2, 7)
    one.step_(inputs, target, step=0, factor=1e-12)
    assert seen == [(7, 1), (7, 1)]
    expected = loss(members[1](inputs[1]), target[1]).item()
    assert one.train_loss()[1] == pytest.approx(expected, abs=1e-5)


def test_members_that_go_on_learn_as_if_they_had_been_alone() -> None:
    members = [network() for _ in range(3)]
    batches = [data(3) for _ in range(4)]
    alone, together = learner(members[1:2]), learner(members)
    for step, (inputs, target) in enumerate(batches):
        alone.step_(inputs[1:2], target[1:2], step=step, factor=1.0)
        rows = [1] if step >= 2 else [0, 1, 2]
        if step == 2:
            together.keep_([1])
            together.begin_epoch()
        together.step_(inputs[rows], target[rows], step=step, factor=1.0)
    torch.testing.assert_close(together.bundle.flat, alone.bundle.flat)


def test_drawing_from_a_seed_leaves_the_global_stream_as_it_was() -> None:
    state = torch.get_rng_state()
    with drawing_from(3, CPU):
        first = torch.rand(4)
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(KeyError), drawing_from(3, CPU):
        assert torch.equal(torch.rand(4), first)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), state)
