from __future__ import annotations

import json
from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from alnico.errors import RecipeError
from alnico.networks import Architecture, Given, build, describe
from alnico.networks.given import PLAIN
from alnico.types import Inputs

INPUTS = Inputs(numbers=4)
X = torch.linspace(-3, 3, 48).view(12, 4).sin() * 5


def every_layer() -> nn.Sequential:
    """A network with each of the plain layers, none as it is by default."""
    return nn.Sequential(
        nn.Identity(),
        nn.Linear(4, 6, bias=False),
        nn.BatchNorm1d(6, eps=0.3),
        nn.GELU(approximate="tanh"),
        nn.Linear(6, 5),
        nn.LayerNorm(5, eps=0.2),
        nn.ELU(alpha=0.7),
        nn.LeakyReLU(0.4),
        nn.Dropout(0.3),
        nn.Linear(5, 5),
        nn.SiLU(),
        nn.Linear(5, 5),
        nn.Tanh(),
        nn.ReLU(),
        nn.Linear(5, 3),
        nn.Sigmoid(),
    )


def trained(module: nn.Module) -> nn.Module:
    """With numbers that no fresh network has."""
    for parameter in module.parameters():
        parameter.data.add_(torch.rand_like(parameter))
    module.train()(X)
    return module.eval()


def named() -> nn.Sequential:
    return nn.Sequential(OrderedDict(first=nn.Linear(4, 3), act=nn.Tanh(), last=nn.Linear(3, 2)))


def with_one_activation_twice() -> nn.Sequential:
    act = nn.Tanh()
    return nn.Sequential(nn.Linear(4, 3), act, nn.Linear(3, 3), act, nn.Linear(3, 2))


@pytest.mark.parametrize("make", [every_layer, named, with_one_activation_twice])
def test_a_described_network_that_is_built_anew_says_the_same(make) -> None:
    module = trained(make())
    before = torch.get_rng_state()
    layers = describe(module)
    assert torch.equal(torch.get_rng_state(), before), "describing used the global random state"
    given = Given(module, center=3.0, scale=2.0).eval()
    again = build(Architecture("given", layers=layers), INPUTS, 9).eval()
    again.load_state_dict(given.state_dict())
    assert torch.equal(again({"raw": X}), given({"raw": X}))
    assert again({"raw": X[:1]}).shape[1] == module(X).shape[1]
    torch.manual_seed(1)
    said = again.train()({"raw": X})
    torch.manual_seed(1)
    assert torch.equal(said, given.train()({"raw": X}))  # dropout and norms train alike, too


def test_every_plain_layer_is_under_that_test() -> None:
    assert {name for _, name, _ in json.loads(describe(every_layer()))} == set(PLAIN)


def test_outputs_come_in_the_units_of_the_fit() -> None:
    given = Given(nn.Linear(4, 1), center=100.0, scale=20.0)
    said = given({"raw": X}) * 20 + 100
    torch.testing.assert_close(said, given.module(X), rtol=1e-4, atol=1e-4)
    plain = Given(nn.Linear(4, 3))
    assert torch.equal(plain({"raw": X}), plain.module(X))
    assert {"center", "scale"} < set(given.state_dict()), "units would be lost in a run folder"


class Mine(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) ** 2


class Linear(nn.Linear):
    """Has the name of a plain layer, and is none."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


@pytest.mark.parametrize(
    "module",
    [
        nn.Linear(4, 2),
        Mine(nn.Linear(4, 2)),
        nn.Sequential(Linear(4, 2)),
        nn.Sequential(nn.Sequential(nn.Linear(4, 2))),
        nn.Sequential(nn.Linear(4, 2), nn.PReLU()),
        nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2, affine=False)),
        nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2, track_running_stats=False)),
        nn.Sequential(nn.Linear(4, 2), nn.LayerNorm(2, elementwise_affine=False)),
        nn.Sequential(nn.Linear(4, 2), nn.LayerNorm(2, bias=False)),
        nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 2))),
    ],
    ids=lambda module: str(module).replace("\n", ""),
)
def test_what_names_and_numbers_cannot_describe_is_not_described(module: nn.Module) -> None:
    assert describe(module) == ""


def test_a_network_without_a_description_is_not_built() -> None:
    with pytest.raises(RecipeError, match=r"class of your own(.|\n)*help: .*plain nn\.Sequential"):
        build(Architecture("given"), INPUTS, 2)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Conv1d", {}),
        ("Module", {}),
        ("__import__", {"name": "os"}),
        ("functional", {}),
        ("Linear", {"in_features": 4, "out_features": 2, "device": "meta"}),
        ("ReLU", {"inplace": True}),
    ],
)
def test_a_description_that_was_doctored_is_refused(name: str, values: dict) -> None:
    layers = json.dumps([["0", name, values]])
    with pytest.raises(RecipeError, match=f"layer '{name}' that is not a plain one"):
        build(Architecture("given", layers=layers), INPUTS, 2)
