from __future__ import annotations

import torch
from torch.nn import functional as F

from alnico.networks import Architecture, build
from alnico.types import Inputs

INPUTS = Inputs(words=9, bag=15)


def test_it_is_a_perceptron_over_the_weighted_term_counts(make_batch) -> None:
    module = build(Architecture("text_bag", depth=1, width=4), INPUTS, 2).eval()
    batch, p = make_batch(INPUTS, 10), dict(module.named_parameters())
    terms = torch.zeros(10, 15)
    for row, (ids, weights) in enumerate(zip(batch["bag"], batch["bag_weight"], strict=True)):
        for term, weight in zip(ids.tolist(), weights, strict=True):
            terms[row, term] += weight
    hidden = F.relu(terms @ p["embedding.weight"] @ p["hidden.1.weight"].T + p["hidden.1.bias"])
    torch.testing.assert_close(module(batch), hidden @ p["head.weight"].T + p["head.bias"])


def test_order_and_padding_do_not_matter(make_batch) -> None:
    module, batch = (
        build(Architecture("text_bag", width=4), INPUTS, 2).eval(),
        make_batch(INPUTS, 6),
    )
    padded = {name: F.pad(tensor, (0, 5)) for name, tensor in batch.items()}
    turned = {name: tensor.flip(-1) for name, tensor in batch.items()}
    torch.testing.assert_close(module(padded), module(batch))
    torch.testing.assert_close(module(turned), module(batch))


def test_the_names_of_its_tensors_are_those_in_older_run_folders() -> None:
    module = build(Architecture("text_bag", depth=1, width=4), INPUTS, 2)
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    assert shapes == {
        "embedding.weight": (15, 4),
        "hidden.1.weight": (4, 4),
        "hidden.1.bias": (4,),
        "head.weight": (2, 4),
        "head.bias": (2,),
    }
