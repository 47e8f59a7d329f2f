from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from alnico.data.batches import Rows
from alnico.fusing.soft_loss import distillation_loss, mixed_loss, with_label


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 10.0])
def test_it_is_the_divergence_of_the_softened_distributions(temperature: float) -> None:
    output, teacher = torch.randn(20, 5), torch.randn(20, 5)
    loss = distillation_loss("multiclass", temperature=temperature)(output, teacher)
    p, q = ((logits / temperature).softmax(1) for logits in (teacher, output))
    closed_form = temperature**2 * (p * (p.log() - q.log())).sum(1).mean()
    torch.testing.assert_close(loss, closed_form)
    torchs = nn.KLDivLoss(reduction="batchmean")(q.log(), p)
    torch.testing.assert_close(loss, temperature**2 * torchs)


def test_a_student_that_says_the_same_has_no_loss_and_no_gradient() -> None:
    teacher = torch.randn(20, 5)
    output = (teacher + 3.0).requires_grad_()  # an offset of all logits changes no probability
    loss = distillation_loss("binary")(output, teacher)
    loss.backward()
    assert abs(loss.item()) < 1e-6 and output.grad is not None and output.grad.abs().max() < 1e-6


def test_hot_gradients_are_those_of_the_logits_squared_error() -> None:
    # Hinton et al. 2015, equation 4: at high temperature, of logits of mean zero
    output, teacher = torch.randn(6, 4), torch.randn(6, 4)
    output, teacher = output - output.mean(1, True), teacher - teacher.mean(1, True)
    output.requires_grad_()
    distillation_loss("multiclass", temperature=1_000.0)(output, teacher).backward()
    expected = (output - teacher).detach() / (4 * 6)
    torch.testing.assert_close(output.grad, expected, rtol=0.02, atol=1e-4)


def test_very_sure_teachers_and_students_stay_finite() -> None:
    output = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = distillation_loss("binary", temperature=0.5)(output, torch.tensor([[-300.0, 300.0]]))
    loss.backward()
    assert loss.isfinite() and output.grad is not None and output.grad.isfinite().all()


def test_one_loss_validates_on_labels_and_numbers() -> None:
    output, label, number = torch.randn(9, 3), torch.arange(9) % 3, torch.randn(9)
    loss = distillation_loss("multiclass", temperature=4.0)
    torch.testing.assert_close(loss(output, label), F.cross_entropy(output, label))
    loss = distillation_loss("regression")
    torch.testing.assert_close(loss(output[:, :1], number), F.mse_loss(output[:, 0], number))
    torch.testing.assert_close(
        loss(output[:, :1], number[:, None]), F.mse_loss(output[:, 0], number)
    )


@pytest.mark.parametrize("hard", [0.0, 0.3, 1.0])
def test_labels_have_their_share_where_they_are_known(hard: float) -> None:
    output, teacher, label = torch.randn(7, 3), torch.randn(7, 3), torch.tensor([0, 2, 1, 1])
    rows = with_label(Rows(torch.randn(7, 2), teacher), label)
    assert rows.target.shape == (7, 4)
    found = mixed_loss("multiclass", temperature=2.0, hard=hard)(output, rows.target)
    expected = 0.0
    for i in range(7):  # row by row
        p, q = (teacher[i] / 2).softmax(0), (output[i] / 2).softmax(0)
        soft = 4 * float((p * (p / q).log()).sum())
        if i < 4:
            cross_entropy = -math.log(float(output[i].softmax(0)[label[i]]))
            soft = (1 - hard) * soft + hard * cross_entropy
        expected += soft / 7
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_labels_that_are_not_known_send_no_nan_into_the_gradient() -> None:
    output = torch.randn(5, 1, requires_grad=True)
    rows = with_label(Rows(torch.randn(5, 2), torch.randn(5, 1)), torch.randn(2))
    loss = mixed_loss("regression", temperature=2.0, hard=0.5)
    loss(output, rows.target).backward()
    assert output.grad is not None and output.grad.isfinite().all() and output.grad.all()
    number = torch.randn(5)
    torch.testing.assert_close(loss(output, number), F.mse_loss(output[:, 0], number))
