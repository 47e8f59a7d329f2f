"""Every metric of a task at once."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from alnico.errors import DataError
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
    """
    found = {}
    for metric in metrics.values():
        if task.kind in metric.tasks:
            with suppress(DataError):
                found[metric.name] = float(metric.score(target, prediction))
    return found
