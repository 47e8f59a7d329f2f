from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from alnico.networks import Architecture, build
from alnico.networks.gated import Gate
from alnico.types import Inputs


def test_a_gate_is_that_of_shazeer_2020(make_batch) -> None:
    inputs = Inputs(numbers=3)
    module = build(Architecture("gated", "log", depth=1, width=5, activation="silu"), inputs, 2)
    batch, p = make_batch(inputs, 8), dict(module.eval().named_parameters())
    (w, v), (b, c) = p["gates.0.both.weight"].split(5), p["gates.0.both.bias"].split(5)
    x = batch["log"]
    swiglu = F.silu(x @ w.T + b) * (x @ v.T + c)  # equation 6, with biases
    torch.testing.assert_close(module(batch), swiglu @ p["head.weight"].T + p["head.bias"])


def test_with_a_sigmoid_it_is_the_glu_of_torch() -> None:
    gate = Gate(4, Architecture("gated", width=3)).eval()
    gate.activation = nn.Sigmoid()
    x = torch.randn(6, 4)
    activated, value = gate.both(x).chunk(2, -1)
    torch.testing.assert_close(gate(x), F.glu(torch.cat([value, activated], -1), -1))
