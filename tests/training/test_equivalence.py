from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from alnico.training.equivalence import obstacle, same_architecture
from alnico.training.records import Way

K, N, D = 4, 6, 8


class Scaled(nn.Module):
    """Ones at the start and an axis of their own: with n = k a stack broadcasts them wrongly."""

    def __init__(self, width: int = D) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.head = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x * self.scale)
        return out


class Secret(nn.Module):
    """An option that its `repr` does not show."""

    def __init__(self, factor: float, dropout: float = 0.0) -> None:
        super().__init__()
        self.factor, self.p = factor, dropout
        self.head = nn.Linear(D, 2)

    def forward(self, x: Tensor) -> Tensor:
        kept = nn.functional.dropout(x, self.p, self.training)
        out: Tensor = self.head(kept * self.factor)
        return out


class FirstAxes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(D, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x - x.mean(0))
        return out


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(D, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x + torch.randn_like(x) if self.training else x)
        return out


class Detached(nn.Module):
    """Its gradient differs from what its outputs say, where it is read as a stack."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(D, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x)
        return out if out.dim() == 2 else out.detach() + 0 * out


def conv() -> nn.Module:
    return nn.Sequential(nn.Conv1d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * (D - 2), 2))


def check(way: Way, members: list[nn.Module], n: int = N) -> str | None:
    return obstacle(way, members, torch.randn(len(members), n, D))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_perceptron_with_dropout_passes_both_ways(dropout: float) -> None:
    members: list[nn.Module] = [
        nn.Sequential(nn.Linear(D, 9), nn.LayerNorm(9), nn.Dropout(dropout), nn.Linear(9, 2))
        for _ in range(K)
    ]
    assert check("stacked", members) is None
    assert check("vmap", members) is None


def test_a_convolution_passes_vmap_alone() -> None:
    members = [conv() for _ in range(K)]
    inputs = torch.randn(K, N, 1, D)
    assert obstacle("stacked", members, inputs) is not None
    assert obstacle("vmap", members, inputs) is None


@pytest.mark.parametrize("n", [K, N])
def test_weights_at_their_start_do_not_hide_a_wrong_reading(n: int) -> None:
    members: list[nn.Module] = [Scaled() for _ in range(K)]
    assert check("stacked", members, n) is not None
    assert check("vmap", members, n) is None


def test_options_that_differ_out_of_sight_are_found() -> None:
    assert check("stacked", [Secret(1.0), Secret(2.0)]) == "its outputs come out otherwise"
    assert check("stacked", [Secret(1.0, 0.1), Secret(1.0, 0.5)]) is not None
    assert check("stacked", [Secret(1.0, 0.1), Secret(1.0, 0.1)]) is None


def test_a_reading_of_the_first_axis_is_found() -> None:
    assert check("stacked", [FirstAxes(), FirstAxes()]) == "its outputs come out otherwise"


def test_noise_cannot_be_compared_and_goes_to_the_loop() -> None:
    for way in ("stacked", "vmap"):
        assert check(way, [Noisy(), Noisy()]) is not None


def test_gradients_are_compared_too() -> None:
    assert check("stacked", [Detached(), Detached()]) == "its gradients come out otherwise"


def test_running_statistics_go_to_the_loop() -> None:
    members: list[nn.Module] = [
        nn.Sequential(nn.Linear(D, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)) for _ in range(K)
    ]
    assert check("stacked", members, n=4) is not None
    assert check("vmap", members) is not None


def test_a_counting_buffer_is_noticed_though_outputs_agree() -> None:
    class Counts(nn.Module):
        seen: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(D, 2)
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                self.seen = self.seen + 1
            out: Tensor = self.head(x)
            return out

    assert check("stacked", [Counts(), Counts()]) == "its buffers change while it trains"


def test_the_check_changes_neither_modules_nor_random_state() -> None:
    members: list[nn.Module] = [nn.Sequential(nn.Linear(D, 3), nn.BatchNorm1d(3)) for _ in range(2)]
    before = [{n: t.clone() for n, t in m.state_dict().items()} for m in members]
    noisy: list[nn.Module] = [Noisy(), Noisy()]
    inputs, state = torch.randn(2, N, D), torch.get_rng_state()
    obstacle("stacked", members, inputs)
    obstacle("stacked", noisy, inputs)
    assert torch.equal(torch.get_rng_state(), state)
    for member, old in zip(members, before, strict=True):
        assert all(torch.equal(t, old[n]) for n, t in member.state_dict().items())


def test_same_architecture_means_same_layers_options_shapes_and_frozen_parts() -> None:
    def make(width: int = 4, p: float = 0.1, act: type[nn.Module] = nn.ReLU) -> nn.Module:
        return nn.Sequential(nn.Linear(D, width), act(), nn.Dropout(p), nn.Linear(width, 2))

    assert same_architecture([make(), make()])
    assert not same_architecture([make(), make(width=5)])
    assert not same_architecture([make(), make(p=0.2)])
    assert not same_architecture([make(), make(act=nn.GELU)])
    frozen = make()
    frozen[0].weight.requires_grad_(False)
    assert not same_architecture([make(), frozen])
