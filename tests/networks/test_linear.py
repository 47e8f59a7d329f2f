from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from alnico.networks import Architecture, build
from alnico.types import Inputs

FORMS = [
    Inputs(numbers=3),
    Inputs(categories=(3, 4)),
    Inputs(words=9, bag=12),
    Inputs(numbers=3, missing=2, categories=(3, 1, 4), words=9, bag=12),
]


def design(batch, inputs: Inputs) -> np.ndarray:
    """One column a number, indicator, level and term, one row at a time."""
    rows = []
    n = len(next(iter(batch.values())))
    for i in range(n):
        row = [batch[k][i].numpy() for k in ("log", "missing") if k in batch]
        for column, size in enumerate(inputs.categories):
            row.append(np.eye(size)[batch["categories"][i, column]])
        terms = np.zeros(inputs.bag)
        if inputs.bag:
            np.add.at(terms, batch["bag"][i].numpy(), batch["bag_weight"][i].numpy())
        rows.append(np.concatenate([*row, terms]))
    return np.stack(rows)


@pytest.mark.parametrize("inputs", FORMS)
def test_with_the_coefficients_of_scikit_learn_it_is_their_decision_function(
    inputs, make_batch
) -> None:
    batch = make_batch(inputs, 60)
    x = design(batch, inputs)
    theirs = LogisticRegression().fit(x, np.arange(60) % 3)
    ours = build(Architecture("linear", "log"), inputs, 3)
    coefficients = torch.from_numpy(theirs.coef_).float()
    sizes = (inputs.numbers + inputs.missing, sum(inputs.categories), inputs.bag)
    numbers, levels, terms = coefficients.split(sizes, 1)
    with torch.no_grad():
        ours.numbers.copy_(numbers)
        ours.levels.copy_(levels.T)
        ours.terms.copy_(terms.T)
        ours.bias.copy_(torch.from_numpy(theirs.intercept_))
        said = ours(batch)
    np.testing.assert_allclose(said, theirs.decision_function(x), atol=1e-5)


def test_a_fresh_one_says_nothing_of_any_row(make_batch) -> None:
    out = build(Architecture("linear", "log"), FORMS[-1], 3)(make_batch(FORMS[-1], 5))
    assert out.shape == (5, 3) and not out.any()
