"""Every metric of a task at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alnico.evaluation.metrics import Target, metrics
from alnico.types import Task


def evaluate(target: Target, prediction: NDArray[np.float64], task: Task) -> dict[str, float]:
    """Score predictions by every metric of the task that these rows define.

    Args:
        target: Class index, or the value, of each row. [n]
        prediction: Probabilities [n, c], or values [n].
        task: What is predicted.

    Returns:
        Metric -> score. With one class alone there is no `roc_auc`, for example; such are left out.

    Raises:
        DataError: If the shapes do not fit, or predictions are NaN or no probabilities.
    """
    every_row = np.ones((1, len(target)))
    found = {}
    for metric in metrics.values():
        if task.kind in metric.tasks:
            score = float(metric.score(target, prediction, every_row)[0])
            if not np.isnan(score):  # that is how an undefined one is told
                found[metric.name] = score
    return found
