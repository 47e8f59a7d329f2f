from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from alnico.training.bundle import Bundle, flat_weights, trainable, write_
from alnico.training.records import Way

WAYS: tuple[Way, ...] = ("stacked", "vmap")


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lookup = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7)
        self.head.weight = self.lookup.weight

    def forward(self, ids: Tensor) -> Tensor:
        out: Tensor = self.head(self.lookup(ids))
        return out


def gradients(module: nn.Module, inputs: Tensor) -> Tensor:
    found = torch.autograd.grad(module(inputs).square().sum(), list(trainable(module).values()))
    return torch.cat([grad.flatten() for grad in found])


@pytest.mark.parametrize("way", WAYS)
def test_outputs_and_gradients_are_those_of_the_members(way: Way) -> None:
    members = [network() for _ in range(3)]
    inputs = torch.randn(3, 6, 5)
    bundle = Bundle(range(3), members, way)
    output = bundle.forward(inputs)
    bundle.backward(output.square().sum())
    for row, member in enumerate(members):
        torch.testing.assert_close(output[row], member(inputs[row]))
        torch.testing.assert_close(bundle.grad[row], gradients(member, inputs[row]))


def test_a_loop_bundle_is_the_module_itself() -> None:
    member = network()
    inputs = torch.randn(1, 6, 5)
    expected, grad = member(inputs[0]).detach(), gradients(member, inputs[0])
    bundle = Bundle([0], [member], "loop")
    output = bundle.forward(inputs)
    bundle.backward(output.square().sum())
    torch.testing.assert_close(output[0], expected)
    torch.testing.assert_close(bundle.grad[0], grad)
    bundle.flat.zero_()
    assert not any(bool(p.any()) for p in member.parameters())


@pytest.mark.parametrize("way", [*WAYS, "loop"])
def test_a_change_of_the_flat_weights_changes_the_outputs(way: Way) -> None:
    bundle = Bundle([0], [network()], way)
    bundle.flat.zero_()
    assert torch.equal(bundle.forward(torch.randn(1, 6, 5)), torch.zeros(1, 6, 2))


@pytest.mark.parametrize("way", [*WAYS, "loop"])
def test_tied_weights_are_one_weight_and_get_both_gradients(way: Way) -> None:
    member = Tied()
    ids = torch.randint(7, (1, 6))
    expected = gradients(member, ids[0])
    bundle = Bundle([0], [copy.deepcopy(member)], way)
    assert bundle.flat.shape == (1, 7 * 4 + 7)
    bundle.backward(bundle.forward(ids).square().sum())
    torch.testing.assert_close(bundle.grad[0], expected)


@pytest.mark.parametrize("way", WAYS)
def test_frozen_weights_are_no_rows_and_may_differ_between_members(way: Way) -> None:
    members = [network() for _ in range(3)]
    for member in members:
        member[0].weight.requires_grad_(False)
    bundle = Bundle(range(3), members, way)
    assert bundle.flat.shape == (3, 4 + 8 + 2)
    inputs = torch.randn(3, 6, 5)
    expected = torch.stack([m(own) for m, own in zip(members, inputs, strict=True)])
    torch.testing.assert_close(bundle.forward(inputs), expected)


class Shifted(nn.Module):
    def __init__(self, shift: float) -> None:
        super().__init__()
        self.register_buffer("shift", torch.full((5,), shift))
        self.head = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x + self.shift)
        return out


def test_equal_buffers_are_shared_by_a_stack() -> None:
    members = [Shifted(1.5), Shifted(1.5)]
    inputs = torch.randn(2, 6, 5)
    expected = torch.stack([m(own) for m, own in zip(members, inputs, strict=True)])
    torch.testing.assert_close(Bundle([0, 1], members, "stacked").forward(inputs), expected)


def test_differing_buffers_are_mapped_with_their_members() -> None:
    members = [Shifted(1.5), Shifted(-2.0)]
    inputs = torch.randn(2, 6, 5)
    expected = torch.stack([m(own) for m, own in zip(members, inputs, strict=True)])
    torch.testing.assert_close(Bundle([0, 1], members, "vmap").forward(inputs), expected)


@pytest.mark.parametrize("way", WAYS)
def test_members_that_go_on_keep_their_weights_and_numbers(way: Way) -> None:
    members = [network() for _ in range(4)]
    bundle = Bundle([10, 11, 12, 13], members, way)
    bundle.flat.mul_(0.5)
    inputs = torch.randn(4, 6, 5)
    whole = bundle.forward(inputs)
    bundle.keep_([1, 3])
    assert bundle.members == [11, 13]
    torch.testing.assert_close(bundle.forward(inputs[[1, 3]]), whole[[1, 3]])


def test_a_weight_that_the_output_does_not_read_has_no_gradient() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.spare = nn.Parameter(torch.ones(3))
            self.head = nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.head(x)
            return out

    bundle = Bundle([0, 1], [Unused(), Unused()], "stacked")
    bundle.backward(bundle.forward(torch.randn(2, 6, 5)).sum())
    assert torch.equal(bundle.grad[:, :3], torch.zeros(2, 3))
    assert bool((bundle.grad[:, 3:] != 0).any())


def test_a_row_is_written_back_with_buffers_into_any_copy() -> None:
    source, target = nn.Sequential(network(), nn.BatchNorm1d(2)), None
    source(torch.randn(9, 5))  # moves the running statistics
    target = nn.Sequential(network(), nn.BatchNorm1d(2))
    write_(target, flat_weights(source), dict(source.named_buffers()))
    for name, tensor in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], tensor)
    source(torch.randn(9, 5))
    assert not torch.equal(target[1].running_mean, source[1].running_mean)
