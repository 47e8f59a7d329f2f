from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune as torch_prune
from torch.nn.utils.parametrizations import weight_norm

from alnico.networks import Architecture, build
from alnico.pruning.chains import Chain, find_chains
from alnico.types import Inputs


def found(module: nn.Module, example: Tensor) -> dict[str, tuple[str, ...]]:
    return {c.producer: c.consumers for c in find_chains(module.eval(), example)}


class Two(nn.Module):
    """Two layers, and whatever is done with what the first one gives."""

    def __init__(self, between: Callable[[Two, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last, self.beside = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        return self.between(self, self.first(x))


def test_a_perceptron_is_one_chain_a_hidden_layer() -> None:
    hidden = [nn.Linear(3, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Dropout(), nn.Linear(8, 4)]
    module = nn.Sequential(*hidden, nn.ReLU(inplace=True), nn.Identity(), nn.Linear(4, 2))
    assert find_chains(module.eval(), torch.randn(5, 3)) == [
        Chain("0", ("1",), ("4",)),
        Chain("4", (), ("7",)),
    ]


def test_an_image_network_is_followed_through_pooling_and_flattening() -> None:
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(4, 6, 3), nn.SiLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    module = nn.Sequential(*layers, nn.Linear(24, 2)).eval()
    assert find_chains(module, torch.randn(5, 1, 12, 12)) == [
        Chain("0", ("1",), ("4",)),
        Chain("4", (), ("8",)),
    ]


FOLLOWED: dict[str, Callable[[Two, Tensor], Tensor]] = {
    "a function": lambda net, h: net.last(F.dropout(torch.tanh(h).relu(), 0.5, False)),
    "in place": lambda net, h: net.last(F.relu(h, inplace=True)),
    "two readers": lambda net, h: net.last(h) + net.beside(F.gelu(h)),
    "a look at its shape": lambda net, h: net.last(h) * h.shape[0],
}


@pytest.mark.parametrize("how", FOLLOWED)
def test_units_are_followed_through(how: str) -> None:
    readers = ("last", "beside") if how == "two readers" else ("last",)
    assert found(Two(FOLLOWED[how]), torch.randn(5, 6)) == {"first": readers}


LEFT: dict[str, Callable[[Two, Tensor], Tensor]] = {
    "added to": lambda net, h: net.last(h) + h,
    "read by its maximum": lambda net, h: net.last(h) + h.amax(1, keepdim=True),
    "mixed by softmax": lambda net, h: net.last(h.softmax(1)),
    "normalised": lambda net, h: net.last(F.layer_norm(h, (6,))),
    "cut": lambda net, h: net.last(torch.cat(h.chunk(2, 1), 1)),
    "pooled over": lambda net, h: net.last(F.avg_pool1d(h, 3, 1, 1)),
    "read twice by one layer": lambda net, h: net.last(net.last(h)),
    "read by a weight read elsewhere": lambda net, h: net.last(h) + net.last.weight.sum(),
    "read by a function": lambda net, h: F.linear(h, net.last.weight),
    "multiplied": lambda net, h: net.last(h * h),
    "given back": lambda net, h: h,
    "read by name": lambda net, h: net.last(input=h),
    "compared": lambda net, h: net.last(torch.where(h > 0, h, -h)),
}


@pytest.mark.parametrize("how", LEFT)
def test_units_are_left_alone_where_they_are(how: str) -> None:
    assert found(Two(LEFT[how]), torch.randn(5, 6)) == {}


def test_weights_that_two_layers_share_are_left_alone() -> None:
    tied = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    tied[2].weight = tied[0].weight
    assert found(tied, torch.randn(5, 4)) == {}
    layer = nn.Linear(4, 4)
    twice = nn.Sequential(layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(4, 2))
    assert found(twice, torch.randn(5, 4)) == {}


def test_weights_that_are_computed_from_others_are_left_alone() -> None:
    module = nn.Sequential(weight_norm(nn.Linear(4, 6)), nn.ReLU(), nn.Linear(6, 2))
    assert found(module, torch.randn(5, 4)) == {}
    module = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), weight_norm(nn.Linear(6, 2)))
    assert found(module, torch.randn(5, 4)) == {}


def test_masked_weights_are_left_alone() -> None:
    for masked in (0, 2):
        module = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
        torch_prune.l1_unstructured(module[masked], "weight", amount=0.5)
        assert found(module, torch.randn(5, 4)) == {}


def test_a_pool_that_says_where_it_looked_is_left_alone() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv1d(1, 4, 1), nn.Conv1d(4, 2, 1)
            self.pool = nn.MaxPool1d(2, return_indices=True)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.two(self.pool(self.one(x))[0])
            return out

    assert found(Net(), torch.randn(5, 1, 8)) == {}


def test_a_norm_that_is_run_twice_is_left_alone() -> None:
    norm = nn.BatchNorm1d(6)
    module = nn.Sequential(nn.Linear(4, 6), norm, nn.Linear(6, 6), norm, nn.Linear(6, 2))
    assert found(module, torch.randn(5, 4)) == {}


def test_groups_of_channels_and_renormed_embeddings_are_left_alone() -> None:
    grouped = nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Conv1d(4, 4, 3, groups=2))
    assert found(grouped, torch.randn(5, 2, 9)) == {}
    renormed = nn.Sequential(nn.EmbeddingBag(9, 6, max_norm=1.0), nn.Linear(6, 2))
    assert found(renormed, torch.randint(9, (5, 4))) == {}


def test_batch_norm_over_time_is_none_over_units() -> None:
    module = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))
    assert found(module, torch.randn(5, 6, 4)) == {}
    assert found(module, torch.randn(5, 4)) == {"0": ("2",)}


def test_a_linear_layer_over_the_width_of_an_image_does_not_read_its_channels() -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Linear(4, 2))
    assert found(module, torch.randn(5, 1, 4, 4)) == {}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mlp", {"hidden.0": ("hidden.3",), "hidden.3": ("head",)}),
        ("resnet", {f"blocks.{i}.change.1": (f"blocks.{i}.change.4",) for i in (0, 1)}),
        ("dcn", {"deep.0": ("deep.3",), "join.0": ("head",)}),
        (
            "text_bag",
            {"embedding": ("hidden.1",), "hidden.1": ("hidden.4",), "hidden.4": ("head",)},
        ),
        ("text_gru", {"embedding": ("layers.0.read",)}),
        ("mixed", {"hidden.0": ("hidden.3",), "hidden.3": ("head",)}),
        ("gated", {}),
        ("linear", {}),
    ],
)
def test_the_packages_networks_have_these_chains(
    name: str, expected: dict[str, tuple[str, ...]], inputs: Inputs, batch: dict[str, Tensor]
) -> None:
    module = build(Architecture(name, width=6, depth=2), inputs, 2).eval()
    assert {c.producer: c.consumers for c in find_chains(module, batch)} == expected
