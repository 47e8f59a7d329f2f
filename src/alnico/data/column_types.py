"""What a column is by its values and its name: one of five types, or an id or constant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import polars as pl

ColumnType: TypeAlias = Literal["number", "category", "boolean", "datetime", "text"]

ID_OF_GROUP = "id of a group"
"""How the reason begins for a column that tells which rows belong together."""

_SENTENCE = 3.0  # words on average, from which values are text and not names
_MANY_LEVELS, _FEW_ROWS = 50, 5  # more levels than this with fewer rows each: nothing to learn
_ALMOST_ALL = 0.95
_ID = re.compile(r"(^|[^a-z])(id|key|uuid|guid)$")
_OWNER = re.compile(r"(^|[^a-z])(customer|user|client|visitor|session|patient)(_?(id|no|nr))?$")
_INDEX = re.compile(r"(^|[^a-z])index$|^__index_level_\d+__$")


@dataclass(frozen=True)
class Facts:
    """What is counted of a column before it is judged.

    Args:
        values: The column.
        n_missing: Rows without a value.
        n_unique: Distinct values among the others.
        n_words: Words per value on average; 0 if the values are no strings.
    """

    values: pl.Series
    n_missing: int
    n_unique: int
    n_words: float

    @property
    def n_known(self) -> int:
        """Rows with a value."""
        return len(self.values) - self.n_missing

    @property
    def is_almost_unique(self) -> bool:
        """Whether nearly every row has a value of its own."""
        return self.n_unique >= _ALMOST_ALL * self.n_known

    @property
    def is_whole(self) -> bool:
        """Whether all values are whole numbers, even if stored as floats."""
        dtype = self.values.dtype
        return dtype.is_integer() or (dtype.is_float() and bool((self.values % 1 == 0).all()))

    @property
    def is_counter(self) -> bool:
        """Whether integers number the rows: 1 apart in any order, or evenly apart in order."""
        if self.n_unique < len(self.values) or not self.values.dtype.is_integer():
            return False
        steps = self.values.sort().diff().drop_nulls()
        return bool((steps == steps[0]).all()) and (steps[0] == 1 or self.values.is_sorted())


def measure(frame: pl.DataFrame) -> list[Facts]:
    """Count missing values, distinct values and words of each column."""
    import polars as pl
    import polars.selectors as cs

    if not frame.width:
        return []
    n_missing = frame.select(pl.all().null_count()).row(0)
    n_unique = frame.select(pl.all().drop_nulls().n_unique()).row(0)
    words = frame.select(cs.string().str.count_matches(r"\S+").mean())
    n_words = {column.name: column.item() or 0.0 for column in words}
    return [
        Facts(values, missing, unique, n_words.get(values.name, 0.0))
        for values, missing, unique in zip(frame, n_missing, n_unique, strict=True)
    ]


def judge(facts: Facts) -> tuple[ColumnType | None, str]:
    """The type of a column; or None, and the reason why it cannot help to predict."""
    import polars as pl

    dtype = facts.values.dtype
    if not facts.n_unique:
        return None, "all missing"
    if facts.n_unique == 1 and not facts.n_missing:
        return None, "constant"
    if dtype.is_temporal():
        return "datetime", ""
    if dtype.is_numeric():
        return _judge_number(facts)
    return _judge_words(facts) if dtype == pl.String else ("boolean", "")


def _judge_number(facts: Facts) -> tuple[ColumnType | None, str]:
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", facts.values.name).lower()
    named_id = _ID.search(name) or _OWNER.search(name)
    if facts.is_counter or (
        (named_id or _INDEX.search(name)) and facts.is_almost_unique and facts.is_whole
    ):
        return None, "id: it numbers the rows"
    if named_id and facts.is_whole:
        if _identifies_group(facts):
            return None, _group(facts)
        return ("category", "") if _ID.search(name) else ("number", "")
    return "number", ""


def _judge_words(facts: Facts) -> tuple[ColumnType | None, str]:
    is_varied = facts.n_unique > min(_MANY_LEVELS, facts.n_known / 2)
    if facts.n_words >= _SENTENCE and is_varied:
        return "text", ""
    if facts.is_almost_unique and facts.n_known > 2:
        return None, "id: nearly every row has a value of its own"
    if _identifies_group(facts):
        return None, _group(facts)
    return "category", ""


def _identifies_group(facts: Facts) -> bool:
    return facts.n_unique > _MANY_LEVELS and facts.n_known < _FEW_ROWS * facts.n_unique


def _group(facts: Facts) -> str:
    rows = facts.n_known / facts.n_unique
    return f"{ID_OF_GROUP}: {rows:.1f} rows each; --group NAME keeps its rows in one part"
