from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune as torch_prune

from alnico.errors import DataError, IncompatibleModelsError, RecipeError
from alnico.networks import Architecture, build
from alnico.pruning import n_parameters, prune
from alnico.types import Inputs


def rows_of(smaller: Tensor, whole: Tensor) -> list[int]:
    """Which rows of the whole the rows of the smaller are."""
    return [int((whole == row).flatten(1).all(1).nonzero()) for row in smaller]


def at_mean(module: nn.Sequential, layer: int, kept: list[int], x: Tensor) -> nn.Sequential:
    """A copy in which all other units that go into a layer are at their mean over the rows."""
    given = module[:layer](x)
    mean = given.mean([axis for axis in range(given.dim()) if axis != 1])

    class AtMean(nn.Module):
        def forward(self, units: Tensor) -> Tensor:
            out = mean.view(1, -1, *[1] * (units.dim() - 2)).expand_as(units).clone()
            out[:, kept] = units[:, kept]
            return out

    return nn.Sequential(*copy.deepcopy(module[:layer]), AtMean(), *copy.deepcopy(module[layer:]))


def accuracy(module: nn.Module, x: Tensor, y: Tensor) -> float:
    return float((module(x).argmax(1) == y).float().mean())


def test_half_the_units_keep_most_of_the_accuracy_and_random_ones_do_not(
    perceptron: nn.Sequential, digits: tuple[Tensor, Tensor]
) -> None:
    (x, y), example = (part[1_200:] for part in digits), digits[0][:600]
    whole = accuracy(perceptron, x, y)
    pruned = prune(perceptron, keep=0.5, example=example)
    assert [m.out_features for m in pruned if isinstance(m, nn.Linear)] == [24, 16, 10]
    assert n_parameters(pruned) < 0.5 * n_parameters(perceptron)
    by_chance = []
    for seed in range(5):
        torch.manual_seed(seed)
        other = copy.deepcopy(perceptron)
        for i, n in ((0, 24), (3, 16)):  # torch zeroes units instead of taking them away
            torch_prune.random_structured(other[i], "weight", amount=n, dim=0)
            torch_prune.custom_from_mask(other[i], "bias", other[i].weight_mask[:, 0])
        by_chance.append(accuracy(other, x, y))
    assert whole > 0.9 and accuracy(pruned, x, y) > whole - 0.1
    assert accuracy(pruned, x, y) > max(by_chance) + 0.05


def test_a_pruned_layer_is_the_whole_one_with_the_removed_units_at_their_mean(
    perceptron: nn.Sequential, digits: tuple[Tensor, Tensor]
) -> None:
    x = digits[0]
    one = nn.Sequential(*perceptron[:3], nn.Linear(48, 10)).eval()
    pruned = prune(one, keep=0.3, example=x)
    kept = rows_of(pruned[0].weight, one[0].weight)
    assert kept == sorted(kept) and len(kept) == 14
    torch.testing.assert_close(pruned(x), at_mean(one, 3, kept, x)(x), rtol=1e-4, atol=1e-5)


def test_whole_channels_go_with_their_statistics_and_are_at_their_mean_too() -> None:
    layers = [nn.Conv2d(2, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)]
    module = nn.Sequential(*layers, nn.Conv2d(8, 3, 3, bias=False), nn.Flatten())
    x = torch.randn(50, 2, 6, 6)
    module(x)  # statistics of its own
    module.eval()
    pruned = prune(module, keep=0.5, example=x)
    kept = rows_of(pruned[0].weight, module[0].weight)
    assert pruned[1].num_features == pruned[3].in_channels == 4
    assert torch.equal(pruned[1].running_var, module[1].running_var[kept])
    assert pruned[3].bias is not None and module[3].bias is None
    torch.testing.assert_close(pruned(x), at_mean(module, 3, kept, x)(x), rtol=1e-4, atol=1e-5)


def test_channels_that_surround_themselves_with_zeros_are_removed_too() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
            self.head = nn.Linear(8 * 4, 10)

        def forward(self, x: Tensor) -> Tensor:
            x = F.max_pool2d(F.relu(self.one(x)), 2)
            x = F.max_pool2d(F.relu(self.two(x)), 2)
            out: Tensor = self.head(x.view(len(x), -1))
            return out

    pruned = prune(Net(), keep=0.25, example=torch.randn(30, 1, 8, 8))
    assert [p.shape[:2] for p in pruned.parameters() if p.dim() > 1] == [(2, 1), (2, 2), (10, 8)]
    assert pruned(torch.randn(3, 1, 8, 8)).shape == (3, 10)


def test_units_that_never_change_cost_nothing() -> None:
    module, x = nn.Sequential(nn.Linear(3, 10), nn.ReLU(), nn.Linear(10, 2)), torch.randn(60, 3)
    with torch.no_grad():
        module[0].weight[::2] = 0.0
        module[0].bias[::2] = torch.tensor([-1.0, 1.0, 2.0, -3.0, 0.5])
    torch.testing.assert_close(prune(module, example=x)(x), module(x))


@pytest.mark.parametrize("name", ["mlp", "resnet", "dcn", "text_bag", "text_gru", "mixed"])
def test_the_packages_networks_become_smaller(
    name: str, inputs: Inputs, batch: dict[str, Tensor]
) -> None:
    module = build(Architecture(name, width=16, depth=2), inputs, 3)
    pruned = prune(module, keep=0.75, example=batch)
    assert type(pruned) is type(module)
    assert n_parameters(pruned) < n_parameters(module)
    whole, left = module.eval()(batch), pruned.eval()(batch)
    assert left.shape == whole.shape
    assert (left - whole).std() < 0.5 * whole.std()


def test_a_pruned_network_learns_and_is_pruned_again(digits: tuple[Tensor, Tensor]) -> None:
    x, y = (part[:100] for part in digits)
    module = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10, bias=False))
    pruned = prune(module, example=x)
    F.cross_entropy(pruned(x), y).backward()
    assert all(p.grad is not None and p.grad.any() for p in pruned.parameters())
    assert prune(pruned, example=x)[0].out_features == 4


def test_the_model_stays_as_it_is_and_its_modes_and_frozen_layers_go_over() -> None:
    module = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 2))
    module[0].requires_grad_(False)
    module[2].eval()
    before, x = copy.deepcopy(module), torch.randn(20, 3)
    pruned = prune(module, example=x)
    assert all(map(torch.equal, before.state_dict().values(), module.state_dict().values()))
    assert [m.training for m in pruned] == [m.training for m in module] == [True, True, False, True]
    assert [p.requires_grad for p in pruned.parameters()] == [False, False, True, True, True, True]


def test_equal_inputs_give_equal_networks(
    perceptron: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    one, other = (prune(perceptron, keep=0.4, example=digits[0]) for _ in range(2))
    assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


def test_keeping_all_changes_nothing(perceptron: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    pruned = prune(perceptron, keep=1.0, example=digits[0])
    assert pruned is not perceptron
    assert torch.equal(pruned(digits[0]), perceptron(digits[0]))


@pytest.mark.parametrize("keep", [0.0, -0.1, 1.01, 20, float("nan")])
def test_a_share_outside_0_to_1_is_refused(keep: float) -> None:
    module = nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 2))
    with pytest.raises(RecipeError, match=r"keep must lie in \(0, 1\], got .*\n.*20 % is 0.2"):
        prune(module, keep=keep, example=torch.randn(9, 3))


def test_an_example_that_says_nothing_is_refused() -> None:
    module = nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 2))
    with pytest.raises(DataError, match="example has 1 rows, and a variance needs at least 2"):
        prune(module, example=torch.randn(1, 3))
    with pytest.raises(DataError, match="not finite"):
        prune(module, example=torch.full((9, 3), torch.nan))


def test_a_network_without_removable_units_is_refused(
    inputs: Inputs, batch: dict[str, Tensor]
) -> None:
    message = "no whole hidden units can be removed from this (GatedMLP|Linear)"
    for module in (
        build(Architecture("gated"), inputs, 2),
        build(Architecture("linear"), inputs, 2),
    ):
        with pytest.raises(IncompatibleModelsError, match=message):
            prune(module, example=batch)
    with pytest.raises(IncompatibleModelsError, match="share no weights"):
        prune(nn.Linear(3, 2), example=torch.randn(9, 3))


def test_only_the_layers_that_can_be_pruned_are(digits: tuple[Tensor, Tensor]) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.read, self.tied = nn.Linear(64, 16), nn.Linear(16, 16)
            self.inner = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 16))

        def forward(self, x: Tensor) -> Tensor:
            x = self.read(x)
            x = x + self.inner(x)
            out: Tensor = self.tied(F.relu(self.tied(x)))
            return out

    pruned = prune(Net(), keep=0.25, example=digits[0][:50])
    assert [m.out_features for m in pruned.modules() if isinstance(m, nn.Linear)] == [16, 16, 8, 16]


def test_shared_parameters_count_once() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].weight = module[0].weight
    assert n_parameters(module) == 9 + 3 + 3
