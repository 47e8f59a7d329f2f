"""A row of the leaderboard: one network, outputs on validation that may be trusted, its scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from alnico.data.batches import Rows
from alnico.evaluation.calibration import Calibration, crossfit, fit_calibration
from alnico.evaluation.intervals import Gain
from alnico.fitting.members import Net, outputs_of
from alnico.fusing import Fused
from alnico.fusing.leaning import leaning
from alnico.predicting import prediction
from alnico.probing import Outputs
from alnico.structures import Learned, Parts, Structure
from alnico.types import Inputs, Task


@dataclass
class Row:
    """A candidate.

    Args:
        kind: A name of the registry `kinds`.
        parts: What it is made of, for a reader.
        nets: The networks it runs: one, or the members of `structure`.
        structure: What joins them; None for a single network.
        outputs: Outputs on the validation part that may be ranked: for what learned from
            validation rows, out-of-fold ones. None if there are none that may. [n, c]
        calibration: Fitted on these outputs.
        seconds: What it costs to get here: its own fitting and its members' training.
        skipped: Why there is no network, if there is none.
        valid_score: By the run's metric, of calibrated out-of-fold predictions.
        test_score: By the run's metric; None until the test part is opened.
        test_scores: By every metric of the task.
        gain: Over the best single network, on the test part.
        microseconds: To predict one row, encoded already.
        valid_prediction: Calibrated, out-of-fold: probabilities [n, c], or values [n].
        test_prediction: The same of the test part; None until it is opened.
        names: Its members' names, if they have any, in the order of `nets`.
        leaning: How far it leans on each of them; they sum to 1.
        relearn: If the structure was learned from validation rows: learns it again from some of
            them (row numbers), over the members that are in `nets`.
    """

    kind: str
    parts: str
    nets: tuple[Net, ...] = ()
    structure: Structure | None = None
    outputs: Tensor | None = None
    seconds: float = 0.0
    skipped: str | None = None
    calibration: Calibration | None = None
    valid_score: float | None = None
    test_score: float | None = None
    test_scores: dict[str, float] = field(default_factory=dict)
    gain: Gain | None = None
    microseconds: float | None = None
    valid_prediction: NDArray[np.float64] | None = field(default=None, repr=False)
    test_prediction: NDArray[np.float64] | None = field(default=None, repr=False)
    names: tuple[str, ...] = ()
    leaning: tuple[float, ...] | None = None
    relearn: Callable[[Tensor], Learned[Structure]] | None = field(default=None, repr=False)

    @property
    def network(self) -> Fused:
        """The network that predicts."""
        return Fused([net.module for net in self.nets], self.structure)

    @property
    def n_parameters(self) -> int:
        """Learned numbers of the network, its members' included."""
        own = self.structure.parameters() if self.structure is not None else ()
        nets = (p for net in self.nets for p in net.module.parameters())
        return sum(p.numel() for p in (*nets, *own))


def calibrate(row: Row, target: Tensor, folds: Tensor, task: Task) -> None:
    """Calibrate a row: each fold's predictions by the other folds, new rows' by all of them."""
    if row.outputs is None:
        return
    row.calibration = fit_calibration(row.outputs, target, task)
    row.valid_prediction = prediction(crossfit(row.outputs, target, folds, task), task)


def find_leaning(
    row: Row, said: Mapping[int, Outputs], valid: Rows, *, inputs: Inputs, task: Task
) -> None:
    """Note how far a fusion leans on each of its members, on the validation part.

    Args:
        row: Its `leaning` is set, if it joins named members.
        said: What members said of the validation part, by the id of their module.
        valid: The validation part.
        inputs: What its batch holds.
        task: What is predicted.
    """
    if row.structure is None or not row.names:
        return
    outputs = [said.get(id(net.module)) or outputs_of(net, valid, inputs) for net in row.nets]
    row.leaning = leaning(row.structure, Parts.of(outputs), valid.target, task)
