from __future__ import annotations

import itertools

import pytest
import torch

from alnico.structures import Average, row_loss


def mean_of(logits: torch.Tensor, task) -> torch.Tensor:
    """The average, in the plain way."""
    return logits.softmax(-1).mean(0).log() if task.is_classification else logits.mean(0)


def test_probabilities_are_averaged_or_outputs(task, make_parts) -> None:
    parts, _ = make_parts(task, 0.5, 1.0, 2.0)
    weights = [0.5, 0.2, 0.3]
    said = parts.logits.softmax(-1) if task.is_classification else parts.logits
    expected = sum(w * s for w, s in zip(weights, said, strict=True))
    out = Average(weights, task.is_classification)(parts)
    torch.testing.assert_close(out.exp() if task.is_classification else out, expected)
    torch.testing.assert_close(Average.of(3, task)(parts), mean_of(parts.logits, task))


def test_how_many_of_the_best_is_found_by_trying_all(task, make_parts) -> None:
    for seed in range(5):
        parts, target = make_parts(task, 2.0, 0.9, 1.0, 6.0, 1.1, seed=seed, n=80)
        losses = [row_loss(m, target, task).mean() for m in parts.logits]
        order = sorted(range(5), key=losses.__getitem__)
        averages = [
            float(row_loss(mean_of(parts.logits[order[:m]], task), target, task).mean())
            for m in range(1, 6)
        ]
        learned = Average.learn(parts, target, task)
        assert learned.members == tuple(order[: 1 + min(range(5), key=averages.__getitem__)])
        assert learned.structure.weights.unique().numel() == 1


def test_a_weak_member_is_left_out(task, make_parts) -> None:
    parts, target = make_parts(task, 0.5, 50.0, 0.5)
    assert sorted(Average.learn(parts, target, task).members) == [0, 2]


def test_the_best_alone_is_an_average_too(task, make_parts) -> None:
    parts, target = make_parts(task, 0.0, 50.0, 50.0)
    learned = Average.learn(parts, target, task)
    assert learned.members == (0,)
    out = learned(parts)
    torch.testing.assert_close(
        out.softmax(-1) if task.is_classification else out,
        parts.logits[0].softmax(-1) if task.is_classification else parts.logits[0],
    )


def test_the_order_of_the_members_does_not_matter(task, make_parts) -> None:
    parts, target = make_parts(task, 0.8, 1.0, 3.0)
    whole = Average.learn(parts, target, task)(parts)
    for order in itertools.permutations(range(3)):
        turned = parts.members(order)
        torch.testing.assert_close(Average.learn(turned, target, task)(turned), whole)


@pytest.mark.parametrize("weights", [[1.0, 0.0], [0.0, 1.0]])
def test_a_weight_of_0_is_silence_even_next_to_certainty(task, make_parts, weights) -> None:
    parts, _ = make_parts(task, 1.0, 1.0)
    parts.logits[weights.index(0.0)] *= 1e4
    out = Average(weights, task.is_classification)(parts)
    kept = parts.logits[weights.index(1.0)]
    torch.testing.assert_close(out, kept.log_softmax(-1) if task.is_classification else kept)
