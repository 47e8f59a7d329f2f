"""In words, whether fusing paid: against the best single network, its refit, the linear model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alnico.evaluation.intervals import Gain, paired_gain
from alnico.evaluation.metrics import Metric, Target
from alnico.fitting.leaderboard import best_single
from alnico.fitting.rows import Row

REFERENCES = ("linear", "single", "single_refit")
"""Kinds that fuse nothing; every other kind is a fusion."""


@dataclass(frozen=True)
class Verdict:
    """Whether fusing paid on the test part.

    Args:
        paid: The best fusion by validation beats the best single network, and this network again
            after it was refitted on all rows that the fusion learned from; both beyond noise.
        text: The same in words, with every comparison.
    """

    paid: bool
    text: str


def verdict(
    ranked: Sequence[Row],
    *,
    metric: Metric,
    target: Target,
    groups: NDArray[np.generic] | None,
    seed: int,
) -> Verdict:
    """Hold the best fusion against the best single network, its refit and the linear model.

    Args:
        ranked: Rows in order, scored on the test part.
        metric: What is compared.
        target: Class index, or value in the target's units, of each test row.
        groups: Rows of one group are resampled together.
        seed: Of the bootstrap.
    """
    scored = [row for row in ranked if row.test_prediction is not None]
    fusion = next((row for row in scored if row.kind not in REFERENCES), None)
    single = best_single(scored)
    if fusion is None or single is None:
        return Verdict(False, "There is nothing to compare: no fusion was scored on the test part.")

    def against(kind: str) -> tuple[Row, Gain] | None:
        other = next((row for row in scored if row.kind == kind), None)
        if other is None or other.test_prediction is None or fusion.test_prediction is None:
            return None
        gain = paired_gain(
            metric, target, fusion.test_prediction, other.test_prediction, groups=groups, seed=seed
        )
        return other, gain

    found = {kind: against(kind) for kind in ("single", "single_refit", "linear")}
    gains = {kind: pair[1] for kind, pair in found.items() if pair is not None}
    paid = gains["single"].low > 0
    paid = paid and ("single_refit" not in gains or gains["single_refit"].low > 0)
    names = {
        "single": f"the best single network, {single.parts}",
        "single_refit": "that network refitted on training + validation rows",
        "linear": "the linear model",
    }
    compared = "; ".join(_compared(gain, names[kind], metric) for kind, gain in gains.items())
    sentences = [
        _opening(paid, gains),
        f"The best fusion by validation is {_named(fusion)}; on the test part it is {compared}.",
    ]
    beaten = _linear_wins(scored, metric)
    return Verdict(paid, " ".join(filter(None, [*sentences, beaten])))


def _named(row: Row) -> str:
    """`concat of mlp x3`, but `pruned concat of mlp x3` and `distilled mlp of concat`."""
    between = " " if row.kind in ("pruned", "distilled") else " of "
    return f"{row.kind}{between}{row.parts}"


def _opening(paid: bool, gains: Mapping[str, Gain]) -> str:
    single, refit = gains["single"], gains.get("single_refit")
    if paid:
        return "Fusing paid."
    if single.high < 0:
        return "Fusing did not pay: it cost."
    if single.low <= 0:
        return "Fusing did not pay here: its gain is within noise."
    assert refit is not None
    if refit.high < 0:
        return (
            "Fusing did not pay here: the same rows do more for a single network refitted on them."
        )
    return "Fusing did not pay here: a single network refitted on the same rows is level with it."


def _compared(gain: Gain, name: str, metric: Metric) -> str:
    word = "better than" if gain.low > 0 else "worse than" if gain.high < 0 else "level with"
    figures = f"{gain.estimate:+.4f} {metric.name} [{gain.low:+.4f}, {gain.high:+.4f}]"
    return f"{word} {name}: {figures}"


def _linear_wins(scored: Sequence[Row], metric: Metric) -> str:
    """Said when the linear model beats every network and every fusion."""
    linear = next((row for row in scored if row.kind == "linear"), None)
    others = [row for row in scored if row.kind != "linear"]
    if linear is None or rank_on_test([linear, *others], metric)[0] is not linear:
        return ""
    return "On the test part the linear model beats every network and every fusion."


def rank_on_test(scored: Sequence[Row], metric: Metric) -> list[Row]:
    """Best test score first: for words about the test part, never for a choice."""
    sign = -1 if metric.greater_is_better else 1
    return sorted(scored, key=lambda row: sign * (row.test_score or 0.0))
