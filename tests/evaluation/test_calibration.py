from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from torch import Tensor
from torch.nn.functional import cross_entropy

from alnico.errors import DataError
from alnico.evaluation.calibration import Calibration, crossfit, fit_calibration
from alnico.types import Task

BINARY = Task("binary", (False, True))
THREE = Task("multiclass", ("a", "b", "c"))
NUMBER = Task("regression")


def drawn(n: int, c: int, *, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """Logits that are `temperature` times too large, and classes drawn from the true ones."""
    true = torch.randn(n, c, dtype=torch.float64) * 2
    return true * temperature, torch.multinomial(true.softmax(1), 1)[:, 0]


@pytest.mark.parametrize("temperature", [0.25, 1.0, 4.0])
def test_a_known_temperature_and_offset_are_recovered(temperature: float) -> None:
    logits, target = drawn(40_000, 3, temperature=temperature)
    shift = torch.tensor([0.5, 0.0, -0.5], dtype=torch.float64)
    fitted = fit_calibration(logits - shift, target, THREE)
    assert float(fitted.scale) == pytest.approx(1 / temperature, rel=0.03)
    torch.testing.assert_close(fitted.offset, shift / temperature, atol=0.05, rtol=0)
    assert float(fitted.offset.sum()) == pytest.approx(0, abs=1e-12)


def test_two_classes_are_platt_scaling() -> None:
    logits, target = drawn(500, 2, temperature=3.0)
    fitted = fit_calibration(logits, target, BINARY)
    margin = (logits[:, 1] - logits[:, 0])[:, None].numpy()
    platt = LogisticRegression(C=1e6, tol=1e-10).fit(margin, target.numpy())
    assert float(fitted.scale) == pytest.approx(platt.coef_[0, 0], rel=1e-4)
    assert float(fitted.offset[1] - fitted.offset[0]) == pytest.approx(
        platt.intercept_[0], abs=1e-4
    )


@pytest.mark.parametrize("unit", [1e-5, 0.3, 20.0, 1e4])
@pytest.mark.parametrize("c", [2, 3, 10])
def test_calibrated_rows_are_never_worse_than_the_same_rows_as_they_were(
    c: int, unit: float
) -> None:
    task = Task("multiclass", tuple(range(c)))
    logits, target = torch.randn(200, c) * unit, torch.randint(c, (200,))
    calibrated = fit_calibration(logits, target, task)(logits)
    assert cross_entropy(calibrated, target) <= cross_entropy(logits, target) + 1e-6
    uniform = torch.log(torch.tensor(float(c)))
    assert cross_entropy(calibrated, target) <= uniform + 1e-6


def test_no_direction_improves_the_fit() -> None:
    logits, target = drawn(300, 3, temperature=2.0)
    fitted = fit_calibration(logits, target, THREE)
    scale, offset = (x.clone().requires_grad_() for x in (fitted.scale, fitted.offset))
    cross_entropy(logits * scale + offset, target).backward()
    assert scale.grad is not None and offset.grad is not None
    assert abs(float(scale.grad)) < 1e-4 and float(offset.grad.abs().max()) < 1e-4


def test_outputs_worse_than_noise_fade_but_keep_their_order() -> None:
    logits, target = drawn(400, 2)
    fitted = fit_calibration(-logits, target, BINARY)
    calibrated = fitted(-logits)
    assert fitted.scale > 0
    share = target.double().mean()
    torch.testing.assert_close(calibrated.softmax(1)[:, 1], share.expand(400), atol=0.01, rtol=0)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e5])
def test_separable_rows_stay_finite_whatever_the_unit(unit: float) -> None:
    target = torch.arange(50) % 2
    logits = torch.stack([-(target - 0.5), target - 0.5], 1) * unit
    calibrated = fit_calibration(logits, target, BINARY)(logits)
    probability = calibrated.softmax(1)[torch.arange(50), target]
    assert (probability > 0.999).all() and (probability < 1).all()


def test_a_class_without_rows_is_left_out_and_one_class_alone_changes_nothing() -> None:
    logits, target = drawn(500, 2, temperature=3.0)
    three = torch.cat([logits, torch.full((500, 1), -5.0, dtype=torch.float64)], 1)
    fitted = fit_calibration(three, target, THREE)
    alone = fit_calibration(logits, target, BINARY)
    torch.testing.assert_close(fitted.offset, torch.cat([alone.offset, torch.zeros(1).double()]))
    torch.testing.assert_close(fitted.scale, alone.scale)
    same = fit_calibration(logits, torch.zeros(500), BINARY)
    assert torch.equal(same(logits), logits)


def test_a_regression_is_the_least_squares_line_with_a_positive_slope() -> None:
    output = torch.randn(100, 1, dtype=torch.float64)
    target = 0.6 * output[:, 0] + 0.2 + 0.3 * torch.randn(100)
    fitted = fit_calibration(output, target, NUMBER)
    line = LinearRegression().fit(output.numpy(), target.numpy())
    assert float(fitted.scale) == pytest.approx(line.coef_[0])
    assert float(fitted.offset) == pytest.approx(line.intercept_)
    assert 0 < fit_calibration(-output, target, NUMBER).scale < 0.01
    constant = fit_calibration(torch.ones(100, 1, dtype=torch.float64), target, NUMBER)
    assert float(constant(torch.ones(1, 1))) == pytest.approx(float(target.mean()), rel=1e-6)


@pytest.mark.parametrize("task", [THREE, NUMBER])
def test_each_row_is_calibrated_by_the_other_folds(task: Task) -> None:
    if task is THREE:
        logits, target = drawn(90, 3)
    else:
        logits, target = torch.randn(90, 1), torch.randn(90)
    folds = torch.arange(90) % 3 + 5
    calibrated = crossfit(logits, target, folds, task)
    for fold in (5, 6, 7):
        fitted = fit_calibration(logits[folds != fold], target[folds != fold], task)
        held_out = folds == fold
        assert torch.equal(calibrated[held_out], fitted(logits[held_out]))


def test_a_rows_own_target_does_not_reach_its_calibration() -> None:
    logits, target = drawn(60, 3)
    folds, changed = torch.arange(60) % 2, target.clone()
    changed[0] = (target[0] + 1) % 3
    before, after = (crossfit(logits, t, folds, THREE) for t in (target, changed))
    assert torch.equal(before[folds == 0], after[folds == 0])
    assert not torch.equal(before[folds == 1], after[folds == 1])


def test_the_dtype_of_the_outputs_is_kept_and_they_are_not_changed() -> None:
    logits, target = drawn(50, 2)
    single = logits.float()
    before = single.clone()
    fitted = fit_calibration(single.requires_grad_(), target, BINARY)
    assert fitted.scale.dtype == fitted(single).dtype == torch.float32
    assert torch.equal(single, before) and not fitted.offset.requires_grad
    twice = Calibration(torch.tensor(2.0), torch.tensor([1.0, -1.0]))
    assert twice(torch.ones(3, 2)).tolist() == [[3.0, 1.0]] * 3


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        (torch.zeros(4, 3), torch.zeros(4), r"takes \[n, 2\] outputs and \[n\] targets"),
        (torch.zeros(4, 2), torch.zeros(3), r"got \[4, 2\] and \[3\]"),
        (torch.zeros(0, 2), torch.zeros(0), "at least one row"),
        (torch.full((4, 2), torch.nan), torch.zeros(4), "8 of 8 outputs are NaN"),
        (torch.zeros(4, 2), torch.full((4,), 2), "must lie in 0 to 1"),
    ],
)
def test_what_cannot_be_calibrated_is_named(logits: Tensor, target: Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit_calibration(logits, target, BINARY)
    with pytest.raises(DataError, match="at least 2 folds, got 1"):
        crossfit(torch.zeros(4, 2), torch.zeros(4), torch.zeros(4), BINARY)
