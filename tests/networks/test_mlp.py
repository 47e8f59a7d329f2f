from __future__ import annotations

import torch
from torch.nn import functional as F

from alnico.networks import Architecture, build
from alnico.types import Inputs


def test_it_is_a_product_of_matrices_with_activations_between(make_batch) -> None:
    inputs = Inputs(numbers=3, missing=2)
    module = build(Architecture("mlp", "log", depth=2, width=5, activation="silu"), inputs, 2)
    batch = make_batch(inputs, 8)
    w1, b1, w2, b2, w3, b3 = module.eval().parameters()
    x = torch.cat([batch["log"], batch["missing"]], 1)
    expected = F.silu(F.silu(x @ w1.T + b1) @ w2.T + b2) @ w3.T + b3
    torch.testing.assert_close(module(batch), expected)


def test_it_learns_what_no_linear_model_can() -> None:
    corners = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    target = torch.tensor([0, 1, 1, 0])
    module = build(Architecture("mlp", "log", width=16, dropout=0.0), Inputs(numbers=2), 2)
    weights = [*module.parameters()]
    for _ in range(200):
        loss = F.cross_entropy(module({"log": corners}), target)
        for weight, slope in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.data -= 0.3 * slope
    assert torch.equal(module.eval()({"log": corners}).argmax(1), target)
