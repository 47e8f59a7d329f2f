"""The linear model: scikit-learn's logistic or ridge regression, kept as a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from alnico.data.batches import Rows
from alnico.fitting.members import Net
from alnico.networks import Architecture, build
from alnico.probing import read_outputs
from alnico.structures import row_loss
from alnico.types import Inputs, Task

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

STRENGTHS = (0.1, 1.0, 10.0)
"""Inverse penalties that are tried; the validation part chooses."""


def fit_linear(train: Rows, valid: Rows, *, inputs: Inputs, task: Task) -> Net:
    """Fit on log1p numbers, one-hot categories and TF-IDF terms.

    Args:
        train: The training part.
        valid: The validation part: it chooses the penalty.
        inputs: What the batches hold.
        task: What is predicted.
    """
    design = design_matrix(train.inputs, inputs)
    best: tuple[float, Net] | None = None
    for strength in STRENGTHS:
        net = _fitted(design, train.target, strength, inputs, task)
        output = read_outputs(net.module, valid.inputs).logits
        loss = float(row_loss(output, valid.target, task).mean())
        if best is None or loss < best[0]:
            best = loss, net
    assert best is not None
    return best[1]


def design_matrix(batch: Any, inputs: Inputs) -> csr_matrix:
    """The batch as scikit-learn wants it: numbers, indicators, one-hot levels, weighted terms."""
    from scipy import sparse

    blocks = []
    if inputs.numbers:
        blocks.append(sparse.csr_matrix(batch["log"].numpy()))
    if inputs.missing:
        blocks.append(sparse.csr_matrix(batch["missing"].numpy()))
    if inputs.categories:
        starts = np.cumsum((0, *inputs.categories[:-1]))
        ids = batch["categories"].numpy() + starts
        blocks.append(_csr(ids, np.ones(ids.shape), sum(inputs.categories)))
    if inputs.bag:
        weights = batch["bag_weight"].numpy()
        blocks.append(_csr(batch["bag"].numpy(), weights, inputs.bag))
    return sparse.hstack(blocks, format="csr")


def _csr(ids: Any, values: Any, width: int) -> csr_matrix:
    from scipy import sparse

    there = values != 0
    ends = np.concatenate([[0], there.sum(1).cumsum()])
    return sparse.csr_matrix((values[there], ids[there], ends), shape=(len(ids), width))


def _fitted(design: Any, target: Tensor, strength: float, inputs: Inputs, task: Task) -> Net:
    from sklearn.linear_model import LogisticRegression, Ridge
    from threadpoolctl import threadpool_limits

    if task.is_classification:
        model = LogisticRegression(C=strength, max_iter=500)
    else:
        model = Ridge(alpha=1 / strength)
    with threadpool_limits(1):  # sparse products use one thread; the others would only spin
        model.fit(design, target.numpy())
    weight = np.atleast_2d(model.coef_)
    bias = np.atleast_1d(model.intercept_)
    if task.kind == "binary":  # one logit for the positive class; the other one's is 0
        weight = np.concatenate([np.zeros_like(weight), weight])
        bias = np.concatenate([np.zeros_like(bias), bias])
    return _as_network(torch.from_numpy(weight), torch.from_numpy(bias), inputs, task)


def _as_network(weight: Tensor, bias: Tensor, inputs: Inputs, task: Task) -> Net:
    """Weights in the order of `design_matrix` [c, columns] -> a `Linear` network."""
    architecture = Architecture("linear", "log")
    module = build(architecture, inputs, task.n_outputs)
    widths = [inputs.numbers + inputs.missing, sum(inputs.categories), inputs.bag]
    numbers, levels, terms = weight.float().split(widths, 1)
    state = {"numbers": numbers, "levels": levels.T, "terms": terms.T, "bias": bias.float()}
    module.load_state_dict({k: v.contiguous() for k, v in state.items()})
    return Net(architecture, module.eval())
