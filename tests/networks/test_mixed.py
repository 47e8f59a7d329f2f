from __future__ import annotations

import torch
from torch.nn import functional as F

from alnico.networks import Architecture, build
from alnico.types import Inputs

INPUTS = Inputs(numbers=2, missing=1, categories=(3, 4), words=9, bag=15)


def test_it_is_a_perceptron_over_the_summed_words_beside_the_table(make_batch) -> None:
    module = build(Architecture("mixed", "log", depth=1, width=5), INPUTS, 2).eval()
    batch, p = make_batch(INPUTS, 10), dict(module.named_parameters())
    words = (p["embedding.weight"][batch["bag"].long()] * batch["bag_weight"].unsqueeze(-1)).sum(1)
    ids = batch["categories"] + torch.tensor([0, 3])
    categories = p["input.embedding.weight"][ids.long()].flatten(1)
    x = torch.cat([words, batch["log"], batch["missing"], categories], 1)
    hidden = F.relu(x @ p["hidden.0.weight"].T + p["hidden.0.bias"])
    torch.testing.assert_close(module(batch), hidden @ p["head.weight"].T + p["head.bias"])


def test_it_learns_what_neither_words_nor_numbers_say_alone() -> None:
    inputs = Inputs(numbers=1, words=5, bag=3)
    module = build(Architecture("mixed", "log", width=16, dropout=0.0), inputs, 2)
    batch = {
        "log": torch.tensor([[-1.0], [1.0], [-1.0], [1.0]]),
        "bag": torch.tensor([[1], [1], [2], [2]]),
        "bag_weight": torch.ones(4, 1),
    }
    target = torch.tensor([0, 1, 1, 0])
    weights = [*module.parameters()]
    for _ in range(200):
        loss = F.cross_entropy(module(batch), target)
        for weight, slope in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.data -= 0.3 * slope
    assert torch.equal(module.eval()(batch).argmax(1), target)


def test_order_and_padding_of_words_do_not_matter(make_batch) -> None:
    module = build(Architecture("mixed", width=4), INPUTS, 2).eval()
    batch, bag = make_batch(INPUTS, 6), ("bag", "bag_weight")
    padded = batch | {name: F.pad(batch[name], (0, 5)) for name in bag}
    turned = batch | {name: batch[name].flip(-1) for name in bag}
    torch.testing.assert_close(module(padded), module(batch))
    torch.testing.assert_close(module(turned), module(batch))
