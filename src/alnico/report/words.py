"""How figures and names of a run are written in the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alnico.evaluation import drawing

NOTHING = "\u2013"
"""Stands where there is no figure."""

KINDS = {
    "linear": "a linear model on the same columns: the least that a network must beat",
    "single": "one network, as it was trained",
    "single_refit": "the best single network, trained again on training and validation rows",
    "ema": "one network with the exponential moving average of its weights",
    "swa": "one network with the mean of its weights over the last epochs",
    "average": "the mean of the members' outputs",
    "selection": "a weighted mean of outputs, members chosen greedily",
    "stacking": "outputs joined by weights that were learned on held-out rows",
    "concat": "the members' features side by side, under one new head",
    "attention": "the members' features joined by attention, under one new head",
    "soup_uniform": "one network with the mean of its relatives' weights",
    "soup_greedy": "one network: weights of relatives averaged as long as it helps",
    "soup_learned": "one network: weights of relatives mixed in learned shares",
    "shared": "members trained together on the loss of their joint output",
    "papa": "the mean weights of members that were pulled towards their average in training",
    "pruned": "the best wide fusion cut back to the size of its largest member, and recovered",
    "distilled": "one small network that was taught by the best row",
}
"""Each kind of rows, in a sentence."""


def score(value: float | None, *, signed: bool = False) -> str:
    """A score in four decimals, or five digits if it is large."""
    if value is None:
        return NOTHING
    return drawing.score(value, sign="+" if signed else "").replace("-", "\u2212")


def interval(row: Mapping[str, Any]) -> str:
    """The 95 % interval of a row's gain; empty for the row that others are held against."""
    low, high = row["gain_low"], row["gain_high"]
    if low is None or high is None or low == high == 0:
        return ""
    return f"{score(low, signed=True)} to {score(high, signed=True)}"


def count(n: int) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{n:,}".replace(",", "\u202f")


def counted(n: int, thing: str) -> str:
    """So many things, in the plural if they are not one."""
    return f"{count(n)} {thing}" if n == 1 else f"{count(n)} {thing}s"


def short_count(n: int | None) -> str:
    """A number of parameters in three digits."""
    if n is None:
        return NOTHING
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return str(n)


def seconds(value: float | None) -> str:
    """A time in seconds, or in minutes."""
    if value is None:
        return NOTHING
    if value < 100:
        return f"{value:.1f} s"
    return f"{value / 60:.1f} min"


def microseconds(value: float | None) -> str:
    """The time that a row of the table takes to be predicted."""
    return NOTHING if value is None else f"{value:.3g} \u00b5s"


def last_part(path: str) -> str:
    """What a path is called by: its last part."""
    return path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] or path
