from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from alnico.errors import RecipeError, UnknownNameError
from alnico.training.optimisers import Setting, Stepper, optimisers

NAMES = ("sgd", "adam", "adamw", "nadam", "rmsprop")

TORCH: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda p, **o: torch.optim.SGD(p, momentum=0.9, nesterov=True, **o),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "nadam": torch.optim.NAdam,
    "rmsprop": torch.optim.RMSprop,
}


def gradient(step: int, row: int) -> Tensor:
    return torch.randn(12, generator=torch.Generator().manual_seed(100 * step + row))


def by_torch(start: Tensor, setting: Setting, row: int, factors: Sequence[float]) -> Tensor:
    """Each member alone, in two parameters, by torch's own optimiser."""
    parts = [p.clone().requires_grad_() for p in start.split([5, 7])]
    make = TORCH[setting.optimiser]
    optimiser = make(parts, lr=setting.rate, weight_decay=setting.weight_decay)
    for step, factor in enumerate(factors):
        for part, grad in zip(parts, gradient(step, row).split([5, 7]), strict=True):
            part.grad = grad.clone()
        optimiser.param_groups[0]["lr"] = setting.rate * factor
        optimiser.step()
    return torch.cat([p.detach() for p in parts])


def by_stepper(start: Tensor, settings: Sequence[Setting], factors: Sequence[float]) -> Tensor:
    flat, grad = start.clone(), torch.zeros_like(start)
    stepper = Stepper(flat, grad, settings)
    for step, factor in enumerate(factors):
        for row in range(len(flat)):
            grad[row] = gradient(step, row)
        stepper.step_(factor)
    return flat


MIX = [
    Setting("adam", 0.1),
    Setting("adam", 0.1),
    Setting("adamw", 0.1, 0.1),
    Setting("adamw", 0.2, 0.1),
    Setting("nadam", 0.1),
    Setting("rmsprop", 0.01, 0.1),
    Setting("sgd", 0.01, 0.1),
    Setting("sgd", 0.01, 0.1),
]
FACTORS = (0.5, 1.0, 0.7, 0.3)


@pytest.mark.parametrize("name", NAMES)
def test_every_optimiser_steps_as_torch_does_for_each_member_alone(name: str) -> None:
    settings = [Setting(name, 0.05, 0.01)] * 3
    start = torch.randn(3, 12)
    found = by_stepper(start, settings, FACTORS)
    for row in range(3):
        expected = by_torch(start[row], settings[row], row, FACTORS)
        torch.testing.assert_close(found[row], expected, rtol=1e-5, atol=1e-6)


def test_a_mix_of_optimisers_rates_and_decays_keeps_members_apart() -> None:
    start = torch.randn(len(MIX), 12)
    found = by_stepper(start, MIX, FACTORS)
    for row, setting in enumerate(MIX):
        expected = by_torch(start[row], setting, row, FACTORS)
        torch.testing.assert_close(found[row], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rows", [[0, 2, 3, 5, 7], [1], [2, 4, 6], list(range(8))])
def test_members_that_go_on_keep_their_moments(rows: list[int]) -> None:
    start = torch.randn(len(MIX), 12)
    flat, grad = start.clone(), torch.zeros_like(start)
    stepper = Stepper(flat, grad, MIX)
    for step, factor in enumerate(FACTORS):
        if step == 2:
            flat, grad = flat[rows].clone(), grad[rows].clone()
            stepper = stepper.kept(flat, grad, rows)
        for place, row in enumerate(rows if step >= 2 else range(len(MIX))):
            grad[place] = gradient(step, row)
        stepper.step_(factor)
    for place, row in enumerate(rows):
        expected = by_torch(start[row], MIX[row], row, FACTORS)
        torch.testing.assert_close(flat[place], expected, rtol=1e-5, atol=1e-6)


def test_the_registry_holds_the_five_of_the_recipe() -> None:
    assert sorted(optimisers) == sorted(NAMES)


def test_an_unknown_optimiser_points_to_the_right_one() -> None:
    with pytest.raises(UnknownNameError, match="no optimiser 'adamwx'") as caught:
        Setting("adamwx")
    assert caught.value.help == "did you mean 'adamw'?"


@pytest.mark.parametrize(
    ("faulty", "text"),
    [
        ({"rate": 0.0}, "rate must be above 0, got 0.0"),
        ({"rate": float("nan")}, "rate must be above 0, got nan"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0, got -1.0"),
        ({"seed": -1}, "seed must lie in"),
    ],
)
def test_a_setting_out_of_range_says_what_came(faulty: dict[str, float], text: str) -> None:
    with pytest.raises(RecipeError, match=text):
        Setting(**faulty)  # type: ignore[arg-type]


def test_all_faults_of_a_setting_come_at_once() -> None:
    with pytest.raises(RecipeError, match="rate must be above 0, got -1; weight_decay"):
        Setting(rate=-1, weight_decay=-2)
