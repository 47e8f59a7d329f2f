from __future__ import annotations

import torch
from torch.nn import functional as F

from alnico.networks import Architecture, build
from alnico.types import Inputs

INPUTS = Inputs(numbers=3)


def test_it_is_the_parallel_form_of_wang_et_al_2021(make_batch) -> None:
    module = build(Architecture("dcn", "log", depth=2, width=5), INPUTS, 2).eval()
    batch, p = make_batch(INPUTS, 8), dict(module.named_parameters())
    for row, said in zip(batch["log"], module(batch), strict=True):
        x0 = p["first.weight"] @ row + p["first.bias"]
        x, deep = x0, x0
        for layer in range(2):
            product = p[f"crosses.{layer}.weight"] @ x + p[f"crosses.{layer}.bias"]
            x = torch.stack([x0[i] * product[i] + x[i] for i in range(5)])  # equation 1
            deep = F.relu(p[f"deep.{3 * layer}.weight"] @ deep + p[f"deep.{3 * layer}.bias"])
        joined = F.relu(p["join.0.weight"] @ torch.cat([x, deep]) + p["join.0.bias"])
        torch.testing.assert_close(said, p["head.weight"] @ joined + p["head.bias"])


def test_two_cross_layers_make_polynomials_of_degree_three() -> None:
    module = build(Architecture("dcn", "log", depth=2, width=4), INPUTS, 1).double().eval()
    row = torch.randn(3, dtype=torch.float64)
    start = module.first(torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None] * row)
    x = start
    for cross in module.crosses:
        x = start * cross(x) + x
    differences = x
    for degree in range(4):
        assert differences.abs().max() > 1e-6, f"of degree {degree} only"
        differences = differences.diff(dim=0)
    torch.testing.assert_close(differences, torch.zeros_like(differences), rtol=0, atol=1e-12)
