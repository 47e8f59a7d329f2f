"""Model soups: one network whose weights average those of a family's (Wortsman et al. 2022).

A family is one architecture from one shared warm start; networks from different starts are never
averaged here, for it ruins them. A soup is no more than the choice of the mixing weights; the
average itself is the merge method `linear`.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call

from alnico.data.batches import take
from alnico.merging import merge_states
from alnico.probing import read_outputs
from alnico.structures import row_loss
from alnico.types import Batch, StateDict, Task

STEPS, STEP_ROWS, RATE = 25, 512, 0.2


@dataclass
class Family:
    """Networks of one architecture and one start, and the rows that soups are chosen on.

    Args:
        members: k networks of equal shapes.
        inputs: The rows, in order.
        target: Class index, or the standardised number, of each row. [n]
        task: What is predicted.
    """

    members: Sequence[nn.Module]
    inputs: Batch
    target: Tensor
    task: Task
    _known: dict[tuple[float, ...], Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.states: list[StateDict] = [m.state_dict() for m in self.members]

    def mix(self, weights: Tensor) -> StateDict:
        """The weighted average of the members' weights. [k] -> state dict"""
        return merge_states(self.states, "linear", weight=weights)

    def network(self, weights: Tensor) -> nn.Module:
        """The soup as a network of its own."""
        network = deepcopy(self.members[0])
        network.load_state_dict(self.mix(weights))
        return network.eval()

    def outputs(self, weights: Tensor) -> Tensor:
        """What the soup says of all rows; each soup is run once. [k] -> [n, c]"""
        key = tuple(weights.tolist())
        if key not in self._known:
            self._known[key] = read_outputs(self.network(weights), self.inputs).logits
        return self._known[key]

    def loss(self, weights: Tensor, rows: Tensor) -> float:
        """The soup's mean loss on some rows."""
        return float(row_loss(self.outputs(weights)[rows], self.target[rows], self.task).mean())


@dataclass(frozen=True)
class Soup:
    """A family with its mixing weights."""

    family: Family
    weights: Tensor

    def outputs(self, rows: Tensor) -> Tensor:
        """Row numbers [m] -> [m, c]"""
        return self.family.outputs(self.weights)[rows]

    def network(self) -> nn.Module:
        """The soup as a network of its own."""
        return self.family.network(self.weights)


def soup_uniform(family: Family, rows: Tensor) -> Soup:
    """Weigh all members equally; learns nothing from the rows."""
    del rows
    k = len(family.members)
    return Soup(family, torch.full((k,), 1 / k))


def soup_greedy(family: Family, rows: Tensor) -> Soup:
    """Add members from the best on, and keep each that does not make the soup worse on the rows.

    Wortsman et al. 2022, recipe 1.
    """
    alone = [family.loss(weights, rows) for weights in torch.eye(len(family.members))]
    order = sorted(range(len(alone)), key=alone.__getitem__)
    kept, best = [order[0]], alone[order[0]]
    for candidate in order[1:]:
        loss = family.loss(_equal([*kept, candidate], len(alone)), rows)
        if loss <= best:
            kept, best = [*kept, candidate], loss
    return Soup(family, _equal(kept, len(alone)))


def soup_learned(family: Family, rows: Tensor) -> Soup:
    """Find the mixing weights by an optimiser on the rows: softmax of free numbers, by Adam.

    Wortsman et al. 2022, section 2 and appendix I. Starts at the equal mixture, and stays there if
    the optimiser finds nothing better.
    """
    k = len(family.members)
    equal = torch.full((k,), 1 / k)
    template = family.network(equal)
    free = torch.zeros(k, requires_grad=True)
    optimiser = torch.optim.Adam([free], lr=RATE)
    random = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        picked = rows[torch.randperm(len(rows), generator=random)[:STEP_ROWS]]
        state = family.mix(free.softmax(0))
        output = functional_call(template, state, (take(family.inputs, picked),))
        loss = row_loss(output, family.target[picked], family.task).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = free.detach().softmax(0)
    return Soup(family, min(equal, found, key=lambda weights: family.loss(weights, rows)))


def _equal(kept: Sequence[int], k: int) -> Tensor:
    weights = torch.zeros(k)
    weights[list(kept)] = 1 / len(kept)
    return weights
