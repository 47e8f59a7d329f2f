from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy
from torch import Tensor

from alnico.errors import IncompatibleModelsError, RecipeError
from alnico.merging.exact import exact
from alnico.merging.exact.picks import SAMPLE, arcee_fusion, nearswap, ram, ramplus_tl, sce


@pytest.mark.parametrize("t", [0.0, 1e-4, 0.02, 0.5])
def test_nearswap_has_mergekits_bits(compare: Callable[..., int], t: float) -> None:
    assert compare("nearswap", {"t": t}, (1,)) == 88


@pytest.mark.parametrize("int8_mask", [True, False])
@pytest.mark.parametrize("select_topk", [0.0, 0.3, 1.0])
def test_sce_has_mergekits_bits(
    compare: Callable[..., int], int8_mask: bool, select_topk: float
) -> None:
    shared = {"int8_mask": int8_mask, "select_topk": select_topk}
    assert compare("sce", shared, (1, 2, 3, 6)) == 88


def test_arcee_fusion_has_mergekits_bits(compare: Callable[..., int]) -> None:
    assert compare("arcee_fusion", {}, (1,)) == 72  # mergekit fails at the 16 empty tensors


@pytest.mark.parametrize("epsilon", [0.0, 1e-5, 1e-2])
def test_ram_has_mergekits_bits(compare: Callable[..., int], epsilon: float) -> None:
    assert compare("ram", {"epsilon": epsilon}, (1, 2, 3, 6)) == 88


@pytest.mark.parametrize(("r", "alpha"), [(0.1, 0.2), (0.5, 1.0)])
def test_ramplus_tl_has_mergekits_bits(compare: Callable[..., int], r: float, alpha: float) -> None:
    for epsilon in (1e-5, 1e-2):
        shared = {"r": r, "alpha": alpha, "epsilon": epsilon}
        assert compare("ramplus_tl", shared, (1, 2, 3, 6)) == 88


def test_a_large_tensors_quartiles_are_of_mergekits_sample(
    mergekit: Callable[..., Tensor],
) -> None:
    base = torch.randn(1010, 1000).bfloat16()
    assert base.numel() > SAMPLE
    tensor = (base + torch.randn(base.shape) * 0.05).bfloat16()
    torch.manual_seed(4)
    expected = mergekit("arcee_fusion", [tensor], base, {})
    torch.manual_seed(4)
    found = arcee_fusion([tensor], base, {})
    assert found.dtype == torch.float32
    assert torch.equal(found.bfloat16(), expected)


def test_without_another_model_it_is_the_base() -> None:
    base = torch.randn(3)
    assert sce([], base, {}) is base
    assert ram([], base, {}) is base
    assert ramplus_tl([], base, {}) is base


def test_nearswap_goes_all_the_way_where_models_are_near() -> None:
    base, tensor = torch.tensor([1.0, 1.0, 1.0]), torch.tensor([1.0, 1.05, 3.0])
    found = nearswap([tensor], base, {"t": 0.1})
    torch.testing.assert_close(found, torch.tensor([1.0, 1.05, 1.1]))


def test_sce_weighs_models_by_energy_and_erases_minority_signs() -> None:
    base, *deltas = torch.randn(4, 20, dtype=torch.float64)
    found = sce([base + d for d in deltas], base, {"int8_mask": False, "select_topk": 0.5}) - base
    stack = torch.stack(deltas).numpy()
    weak = np.argsort(stack.var(0))[:10]
    stack[:, weak] = 0
    energy = (stack**2).mean(1) / (stack**2).mean(1).sum()
    for i, column in enumerate(stack.T):
        agree = [(w, x) for w, x in zip(energy, column, strict=True) if x * column.sum() > 0]
        total = sum(w for w, _ in agree)
        expected = sum(w * x for w, x in agree) / total if agree else 0.0
        assert found[i].item() == pytest.approx(expected)


def test_arcee_fusion_takes_over_what_is_far_above_the_median() -> None:
    base = torch.randn(8, 50, dtype=torch.float64)
    tensor = base + torch.randn(8, 50, dtype=torch.float64)
    p, q = softmax(tensor.numpy(), axis=1), softmax(base.numpy(), axis=1)
    importance = (tensor - base).abs().numpy() * entropy(p, q, axis=1)[:, None]
    low, median, high = np.quantile(importance, [0.25, 0.5, 0.75], method="lower")
    picked = torch.from_numpy(importance > median + 1.5 * (high - low))
    assert 10 < picked.sum() < 200
    torch.testing.assert_close(arcee_fusion([tensor], base, {}), torch.where(picked, tensor, base))


def _ram(base: Tensor, tensors: list[Tensor], epsilon: float, factor: list[float]) -> Tensor:
    merged = base.clone()
    for i in range(len(base)):
        changes = [(j, (x[i] - base[i]).item()) for j, x in enumerate(tensors)]
        changes = [(j, x) for j, x in changes if abs(x) > epsilon]
        if len(changes) == 1:
            merged[i] += factor[changes[0][0]] * changes[0][1]
        elif changes:
            merged[i] += sum(x for _, x in changes) / len(changes)
    return merged


def test_ram_is_a_loop_over_entries() -> None:
    base, *noise = torch.randn(4, 60, dtype=torch.float64)
    tensors = [base + x * (torch.rand(60) < 0.4) for x in noise]
    expected = _ram(base, tensors, 0.1, [1.0] * 3)
    torch.testing.assert_close(ram(tensors, base, {"epsilon": 0.1}), expected)
    parts = torch.stack([(x - base).abs() > 0.1 for x in tensors])
    alone = (parts & (parts.sum(0) == 1)).sum(1)
    shared = (parts & (parts.sum(0) > 1)).sum(1)
    factor = [
        1 + 0.3 * min(b / a, 0.9) for a, b in zip(alone.tolist(), shared.tolist(), strict=True)
    ]
    found = ramplus_tl(tensors, base, {"epsilon": 0.1, "r": 0.3, "alpha": 0.9})
    expected = _ram(base, tensors, 0.1, factor)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_quartiles_of_nothing_are_refused() -> None:
    with pytest.raises(IncompatibleModelsError, match="a tensor has no entries"):
        arcee_fusion([torch.ones(3, 0)], torch.ones(3, 0), {})


def test_each_needs_a_base_and_the_right_number_of_models() -> None:
    for name in ("nearswap", "sce", "arcee_fusion", "ram", "ramplus_tl"):
        with pytest.raises(RecipeError, match=f"{name} needs a base model"):
            exact[name].function([torch.ones(2)], None, {})
    for name, k in itertools.product(("nearswap", "arcee_fusion"), (0, 2)):
        with pytest.raises(IncompatibleModelsError, match=f"{name} merges 1 models, got {k}"):
            exact[name].function([torch.ones(2)] * k, torch.ones(2), {"t": 0.1})
