from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from alnico.errors import IncompatibleModelsError, RecipeError
from alnico.fusing import fuse, shrink
from alnico.pruning import n_parameters, prune
from alnico.training import Setting


def error(module: nn.Module, model: nn.Module, x: Tensor) -> float:
    with torch.no_grad():
        return float((module(x).softmax(1) - model(x).softmax(1)).square().mean())


def test_recovery_brings_a_pruned_network_back_towards_the_whole_one(
    strangers: list[nn.Module], digits: tuple[Tensor, Tensor]
) -> None:
    model, (x, y) = strangers[0], digits
    before = copy.deepcopy(model.state_dict())
    pruned = prune(model, keep=0.5, example=x[:800])
    small = shrink(model, keep=0.5, data=x[:800], setting=Setting("adam", 5e-3), epochs=15)
    assert n_parameters(small) == n_parameters(pruned) < 0.6 * n_parameters(model)
    assert error(small, model, x[800:]) < 0.5 * error(pruned, model, x[800:])
    whole, left = (float((m(x[800:]).argmax(1) == y[800:]).float().mean()) for m in (model, small))
    assert left > whole - 0.05
    assert not any(m.training for m in small.modules())
    assert all(map(torch.equal, model.state_dict().values(), before.values()))


def test_a_fused_network_is_shrunk_in_all_its_members(
    strangers: list[nn.Module], digits: tuple[Tensor, Tensor]
) -> None:
    fused = fuse(strangers, "stacking")
    small = shrink(fused, keep=0.25, data=(digits[0][:400], digits[1][:400]), epochs=2)
    widths = [m.out_features for m in small.modules() if isinstance(m, nn.Linear)]
    assert widths == [6, 6, 10] * 3
    joined = fuse(strangers, "concat")
    small = shrink(joined, keep=0.25, data=digits[0][:400], epochs=1)
    widths = [m.out_features for m in small.modules() if isinstance(m, nn.Linear)]
    assert widths == [6, 24, 10] * 3, "what the head over all features reads must stay"


def test_equal_seeds_shrink_alike(
    strangers: list[nn.Module], digits: tuple[Tensor, Tensor]
) -> None:
    one, same, other = (
        shrink(strangers[0], keep=0.5, data=digits[0][:300], epochs=1, seed=s).state_dict()
        for s in (1, 1, 2)
    )
    assert all(map(torch.equal, one.values(), same.values()))
    assert not torch.equal(one["0.weight"], other["0.weight"])


def test_faults_of_both_parts_come_through(digits: tuple[Tensor, Tensor]) -> None:
    x = digits[0][:50]
    module = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
    with pytest.raises(RecipeError, match=r"keep must lie in \(0, 1\], got 0"):
        shrink(module, keep=0, data=x)
    with pytest.raises(RecipeError, match="copies must be at least 0"):
        shrink(module, keep=0.5, data=x, copies=-1)
    with pytest.raises(IncompatibleModelsError, match="no whole hidden units"):
        shrink(nn.Linear(64, 10), keep=0.5, data=x)
