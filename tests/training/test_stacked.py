from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alnico.training.stacked import (
    UnstackableError,
    call_stacked,
    embedding,
    embedding_bag,
    layer_norm,
    linear,
)

K = 3


def each(function: Callable[..., Tensor], *stacks: Tensor) -> Tensor:
    """The brute-force reading: member by member."""
    return torch.stack([function(*own) for own in zip(*stacks, strict=True)])


@pytest.mark.parametrize("between", [(5,), (5, 2), (5, 2, 4), ()])
@pytest.mark.parametrize("biased", [True, False])
def test_linear_is_each_members_linear(between: tuple[int, ...], biased: bool) -> None:
    x, weight, bias = torch.randn(K, *between, 6), torch.randn(K, 4, 6), torch.randn(K, 4)
    stacks = (x, weight, bias) if biased else (x, weight)
    torch.testing.assert_close(linear(*stacks), each(F.linear, *stacks))


def test_linear_with_weights_all_share_is_torchs_own() -> None:
    x, weight, bias = torch.randn(K, 5, 6), torch.randn(4, 6), torch.randn(K, 4)
    torch.testing.assert_close(linear(x, weight), F.linear(x, weight))
    expected = each(lambda x, bias: F.linear(x, weight, bias), x, bias)
    torch.testing.assert_close(linear(x, weight, bias), expected)


def test_linear_reads_rows_that_all_members_share() -> None:
    x = torch.randn(5, 6).expand(K, 5, 6)
    weight, bias = torch.randn(K, 4, 6), torch.randn(K, 4)
    torch.testing.assert_close(linear(x, weight, bias), each(F.linear, x, weight, bias))


@pytest.mark.parametrize("between", [(5,), (5, 2)])
@pytest.mark.parametrize("padding", [None, 0, -1])
def test_embedding_and_its_gradient_are_each_members(
    between: tuple[int, ...], padding: int | None
) -> None:
    ids = torch.randint(7, (K, *between))
    ids[:, 0], ids[:, 1] = 0, 6
    weight = torch.randn(K, 7, 4, requires_grad=True)
    pull = torch.randn(K, *between, 4)
    found = embedding(ids, weight, padding)
    expected = each(lambda i, w: F.embedding(i, w, padding), ids, weight)
    torch.testing.assert_close(found, expected)
    grads = [torch.autograd.grad((out * pull).sum(), weight)[0] for out in (found, expected)]
    torch.testing.assert_close(*grads)


# torch has no weighted mean
@pytest.mark.parametrize(("mode", "weighted"), [("sum", True), ("sum", False), ("mean", False)])
def test_embedding_bag_is_each_members_bag(mode: str, weighted: bool) -> None:
    ids, weight = torch.randint(7, (K, 5, 3)), torch.randn(K, 7, 4)
    per_sample = torch.rand(K, 5, 3) if weighted else None
    found = embedding_bag(ids, weight, mode=mode, per_sample_weights=per_sample)
    for member in range(K):
        own = None if per_sample is None else per_sample[member]
        expected = F.embedding_bag(ids[member], weight[member], mode=mode, per_sample_weights=own)
        torch.testing.assert_close(found[member], expected)


def test_lookups_with_a_meaning_of_their_own_are_refused() -> None:
    ids, weight = torch.zeros(K, 5, dtype=torch.long), torch.randn(K, 7, 4)
    with pytest.raises(UnstackableError, match="max_norm"):
        embedding(ids, weight, max_norm=1.0)
    with pytest.raises(UnstackableError, match="embedding bag"):
        embedding_bag(ids, weight, torch.tensor([0, 2]))


@pytest.mark.parametrize("shape", [(4,), (2, 4)])
@pytest.mark.parametrize("biased", [True, False])
def test_layer_norm_is_each_members(shape: tuple[int, ...], biased: bool) -> None:
    x, weight, bias = torch.randn(K, 5, *shape), torch.randn(K, *shape), torch.randn(K, *shape)
    stacks = (x, weight, bias) if biased else (x, weight)
    expected = each(lambda x, *affine: F.layer_norm(x, shape, *affine), *stacks)
    torch.testing.assert_close(layer_norm(x, shape, *stacks[1:]), expected)
    torch.testing.assert_close(layer_norm(x, shape), F.layer_norm(x, shape))


class Plain(nn.Module):
    """Names no axis but the last; knows nothing of stacks."""

    def __init__(self) -> None:
        super().__init__()
        self.lookup = nn.Embedding(9, 6)
        self.first = nn.Linear(6, 8)
        self.norm = nn.LayerNorm(8)
        self.gate = nn.Linear(8, 16, bias=False)
        self.head = nn.Linear(8, 2)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.norm(F.relu(self.first(self.lookup(ids))))
        a, b = self.gate(x).chunk(2, dim=-1)
        out: Tensor = self.head((torch.sigmoid(a) * b + x).mean(-2))
        return out


def test_a_plain_network_is_read_as_a_stack() -> None:
    members = [Plain() for _ in range(K)]
    ids = torch.randint(9, (K, 5, 7))
    names = dict(members[0].named_parameters())
    stacked = {n: torch.stack([m.get_parameter(n).detach() for m in members]) for n in names}
    found = call_stacked(members[0], stacked, ids)
    expected = torch.stack([m(own) for m, own in zip(members, ids, strict=True)])
    torch.testing.assert_close(found, expected)


def test_dropout_of_channels_is_refused_for_a_stack_has_other_axes() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Dropout1d())
    stacked = {n: p.detach().expand(K, *p.shape) for n, p in network.named_parameters()}
    with pytest.raises(UnstackableError, match="channels"):
        call_stacked(network, stacked, torch.randn(K, 5, 4))


def test_outside_of_the_call_torch_is_as_before() -> None:
    network = nn.Linear(4, 2)
    stacked = {n: p.detach().expand(K, *p.shape) for n, p in network.named_parameters()}
    call_stacked(network, stacked, torch.randn(K, 5, 4))
    with pytest.raises(RuntimeError):
        F.linear(torch.randn(K, 5, 4), torch.randn(K, 2, 4))
