from __future__ import annotations

import torch
from torch.nn import functional as F

from alnico.networks import Architecture, build
from alnico.types import Inputs

INPUTS = Inputs(numbers=4)


def test_a_block_adds_to_what_came_in(make_batch) -> None:
    module = build(Architecture("resnet", "log", depth=1, width=6), INPUTS, 2).eval()
    batch, p = make_batch(INPUTS, 8), dict(module.named_parameters())
    start = batch["log"] @ p["first.weight"].T + p["first.bias"]
    normed = (start - start.mean(1, keepdim=True)) / (
        start.var(1, False, keepdim=True) + 1e-5
    ).sqrt()
    inner = F.relu(normed @ p["blocks.0.change.1.weight"].T + p["blocks.0.change.1.bias"])
    assert inner.shape == (8, 12)
    x = start + inner @ p["blocks.0.change.4.weight"].T + p["blocks.0.change.4.bias"]
    last = F.relu((x - x.mean(1, keepdim=True)) / (x.var(1, False, keepdim=True) + 1e-5).sqrt())
    torch.testing.assert_close(module(batch), last @ p["head.weight"].T + p["head.bias"])


def test_blocks_that_change_nothing_leave_a_shallow_network(make_batch) -> None:
    module = build(Architecture("resnet", depth=3, width=6), INPUTS, 2).eval()
    batch = make_batch(INPUTS, 8)
    for block in module.blocks:
        torch.nn.init.zeros_(block.change[-1].weight)
        torch.nn.init.zeros_(block.change[-1].bias)
    shallow = module.head(module.last(module.first(module.input(batch))))
    assert torch.equal(module(batch), shallow)
