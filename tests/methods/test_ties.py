from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch

from alnico.merging import merge_states
from alnico.methods import methods

ties = methods["ties"]


@pytest.mark.parametrize("shape", [(20,), (8, 10), (3, 5, 4)])
@pytest.mark.parametrize("density", [0.2, 0.5, 0.9])
def test_with_one_weight_it_is_pefts_formula(
    peft_merges: ModuleType, shape: tuple[int, ...], density: float
) -> None:
    deltas = torch.randn(4, *shape)
    for weight in (1.0, 0.7):
        expected = peft_merges.ties(list(deltas), torch.full((4,), weight), density)
        torch.testing.assert_close(ties(deltas, weight=weight, density=density), expected)


def test_weights_scale_the_changes_before_they_vote(peft_merges: ModuleType) -> None:
    deltas, weight = torch.randn(3, 50), torch.tensor([1.0, -0.5, 2.0])
    scaled = list(deltas * weight[:, None])
    expected = peft_merges.ties(scaled, torch.ones(3), 0.4)
    torch.testing.assert_close(ties(deltas, weight=weight, density=0.4), expected)
    torch.testing.assert_close(ties(deltas, weight=weight, density=0.4, scale=2.0), 2 * expected)


def test_it_is_the_papers_three_steps_entry_by_entry() -> None:
    deltas, weight = torch.randn(3, 10), [1.0, 0.8, 0.6]
    found = ties(deltas, weight=weight, density=0.5).tolist()
    trimmed = []
    for row, w in zip(deltas.tolist(), weight, strict=True):
        least = sorted(map(abs, row), reverse=True)[4]
        trimmed.append([w * value if abs(value) >= least else 0.0 for value in row])
    for entry, votes in zip(found, zip(*trimmed, strict=True), strict=True):
        sign = 1 if sum(votes) >= 0 else -1
        agree = [vote for vote in votes if vote * sign > 0]
        assert entry == pytest.approx(sum(agree) / len(agree) if agree else 0.0, abs=1e-6)


def test_a_model_of_weight_zero_has_no_part_in_it() -> None:
    deltas = torch.randn(3, 40)
    alone = ties(deltas[:2], density=0.5)
    torch.testing.assert_close(ties(deltas, weight=[1.0, 1.0, 0.0], density=0.5), alone)


def test_one_model_that_keeps_everything_is_given_back() -> None:
    base, model = {"x": torch.randn(6, 2)}, {"x": torch.randn(6, 2)}
    merged = merge_states([model], "ties", base=base, density=1.0)
    torch.testing.assert_close(merged, model)


def test_tensors_of_few_entries_are_not_lost() -> None:
    assert ties(torch.tensor([2.0, 4.0])) == 3.0
    assert ties(torch.tensor([[2.0, 1.0]])).tolist() == [2.0, 0.0]


def test_opposite_changes_do_not_cancel() -> None:
    deltas = torch.tensor([[1.0, -4.0], [-3.0, 1.0]])
    assert ties(deltas, density=1.0).tolist() == [-3.0, -4.0]


def test_the_gradient_in_weight_is_that_of_the_formula() -> None:
    deltas = torch.randn(3, 8, dtype=torch.float64)
    weight = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: ties(deltas, weight=w, density=0.6), [weight])


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("density", [[0.2, 0.2, 0.2], [0.5, 0.8, 1.0]])
def test_it_is_mergekits(
    mergekit: Callable, family: Callable, normalize: bool, rescale: bool, density: list[float]
) -> None:
    base, models = family(3, 10, 20)
    weight = [1.0, 0.5, -0.25]
    expected = mergekit(
        models,
        "ties",
        base,
        weight=weight,
        density=density,
        normalize=normalize,
        rescale=rescale,
    )
    found = ties(
        models - base,
        weight=weight,
        density=density,
        normalize="weights" if normalize else "none",
        rescale="l1" if rescale else "none",
    )
    torch.testing.assert_close(base + found, expected)
