from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from alnico.pruning.chains import Chain, find_chains
from alnico.pruning.cut import Cut, apply_, holds, make_cut
from alnico.pruning.measure import measure


def cut_of(module: nn.Module, chain: Chain, x: Tensor, keep: float) -> Cut:
    return make_cut(module, chain, measure(module, chain.consumers, x), keep=keep)


class Residual(nn.Module):
    """Reads its hidden units twice; the second time where no layer shows."""

    def __init__(self, second: str) -> None:
        super().__init__()
        self.first, self.last, self.second = nn.Linear(4, 8), nn.Linear(8, 2), second

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        out: Tensor = self.last(h)
        if self.second == "sum":
            return out + h.sum(1, keepdim=True)
        if self.second == "wide":
            return torch.cat([out, h], 1)
        if self.second == "shape":
            return out + h.view(-1, 8)[:, :2]
        assert h.shape[1] == 8, "width"
        return out


def test_units_are_ranked_by_variance_times_squared_weights_out() -> None:
    module, x = nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 3)), torch.randn(70, 5)
    (chain,) = find_chains(module, x)
    cut = cut_of(module, chain, x, 4 / 9)
    scores = []
    with torch.no_grad():
        given = module[:2](x)
        for unit in range(9):  # FLAP, equation 6, unit by unit
            fluctuation = sum((v - given[:, unit].mean()) ** 2 for v in given[:, unit]) / 70
            scores.append(float(fluctuation * sum(w**2 for w in module[2].weight[:, unit])))
    best = sorted(sorted(range(9), key=lambda unit: -scores[unit])[:4])
    assert cut.units.tolist() == best


def test_all_places_of_a_unit_count_and_go_together() -> None:
    module = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Flatten(), nn.Linear(12, 2))
    with torch.no_grad():
        module[2].weight.zero_()
        module[2].weight[:, 5] = 1.0  # a place of unit 1
    x = torch.randn(20, 1, 2, 2)
    (chain,) = find_chains(module, x)
    cut = cut_of(module, chain, x, 1 / 3)
    assert cut.units.tolist() == [1]
    assert cut.readings["2"].stay.tolist() == [4, 5, 6, 7]


def test_units_of_equal_rank_go_by_their_order() -> None:
    module = nn.Sequential(nn.Linear(2, 6), nn.Linear(6, 1))
    for parameter in module.parameters():
        nn.init.constant_(parameter, 0.5)
    x = torch.randn(9, 2)
    assert cut_of(module, find_chains(module, x)[0], x, 0.5).units.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("keep", "n"), [(1e-9, 1), (0.24, 2), (0.5, 4), (0.95, 8), (1.0, 8)])
def test_at_least_one_unit_stays(keep: float, n: int) -> None:
    module, x = nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 1)), torch.randn(9, 2)
    assert len(cut_of(module, find_chains(module, x)[0], x, keep).units) == n


def test_a_right_cut_holds_and_changes_nothing_until_it_is_applied(
    perceptron: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    x, before = digits[0], copy.deepcopy(perceptron.state_dict())
    for chain in find_chains(perceptron, x[:9]):
        assert holds(perceptron, cut_of(perceptron, chain, x, 0.5), x[:64])
    after = perceptron.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in perceptron.modules())


@pytest.mark.parametrize("second", ["sum", "shape", "assert", "wide"])
def test_a_wrong_chain_does_not_hold(second: str) -> None:
    module, x = Residual(second), torch.randn(40, 4)
    assert find_chains(module, x) == [] or second == "assert"
    cut = cut_of(module, Chain("first", (), ("last",)), x, 0.5)
    assert not holds(module, cut, x)


def test_a_batch_norm_that_was_forgotten_does_not_hold() -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)).eval()
    x = torch.randn(40, 4)
    assert not holds(module, cut_of(module, Chain("0", (), ("2",)), x, 0.5), x)
    cut = cut_of(module, Chain("0", ("1",), ("2",)), x, 0.5)
    assert holds(module, cut, x)
    apply_(module, cut)
    assert [m.weight.shape for m in module] == [(4, 4), (4,), (2, 4)]
