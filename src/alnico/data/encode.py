"""Table rows -> tensors: numbers in two encodings, category ids, word ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alnico.data.schema import Schema
from alnico.data.text import Vocabulary, fit_vocabulary, tokenise
from alnico.types import Inputs, StateDict

if TYPE_CHECKING:
    import polars as pl

KNOTS = 256
"""At most this many quantiles describe a number's distribution."""

_CLIP = 8.0  # standard deviations; new rows may lie anywhere
_MIN_LEVEL, _MAX_LEVELS = 3, 2_000
_TIME_PARTS = 4  # that a date-time becomes, see `_numbers`


@dataclass(frozen=True)
class Encoder:
    """How the rows of one table become tensors.

    Args:
        schema: The table's columns.
        quantiles: Knots of each number's distribution function. [numbers, knots]
        mean: Mean of `sign(x) ln(1 + |x|)` of each number. [numbers]
        std: Its standard deviation. [numbers]
        missing: Which numbers are missing in training rows, and get an indicator. [numbers], bool
        levels: The levels of each category that have an id of their own, in the order of ids;
            None is a missing value.
        vocabulary: Words and pairs of the text columns, joined; None without text.
        raw: Whether batches hold the numbers as they are, too, for networks of the user's.
    """

    schema: Schema
    quantiles: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    missing: NDArray[np.bool_]
    levels: tuple[tuple[str | None, ...], ...]
    vocabulary: Vocabulary | None = field(default=None, repr=False)
    raw: bool = False

    @property
    def inputs(self) -> Inputs:
        """What networks are fed with."""
        words = self.vocabulary
        return Inputs(
            numbers=len(self.mean),
            missing=int(self.missing.sum()),
            categories=tuple(1 + len(levels) for levels in self.levels),
            words=words.n_words if words else 0,
            bag=words.n_bag if words else 0,
        )

    def encode(self, frame: pl.DataFrame) -> dict[str, Tensor]:
        """Turn rows into the batch that `alnico.types.Inputs` describes.

        Args:
            frame: Rows with the schema's columns, as `alnico.data.schema.conform` gives them.
        """
        batch: dict[str, NDArray[Any]] = {}
        if len(self.mean):
            numbers = _numbers(frame, self.schema)
            batch["quantile"] = self._quantile(numbers)
            batch["log"] = self._log(numbers)
            if self.raw:
                batch["raw"] = numbers.astype(np.float32)
            if self.missing.any():
                batch["missing"] = np.isnan(numbers[:, self.missing]).astype(np.float32)
        if self.levels:
            batch["categories"] = self._categories(frame)
        if self.vocabulary is not None:
            rows = _tokens(frame, self.schema)
            batch["words"] = self.vocabulary.sequences(rows)
            batch["bag"], batch["bag_weight"] = self.vocabulary.bags(rows)
        return {name: torch.from_numpy(array) for name, array in batch.items()}

    def _quantile(self, numbers: NDArray[np.float64]) -> NDArray[np.float32]:
        ranks = np.linspace(0.0, 1.0, self.quantiles.shape[1])
        out = np.full(numbers.shape, 0.5, np.float32)
        for j, knots in enumerate(self.quantiles):
            x = numbers[:, j]
            # a value that many rows share lies in the middle of its ranks
            below = np.interp(x, knots, ranks)
            above = -np.interp(-x, -knots[::-1], -ranks[::-1])
            out[:, j] = np.where(np.isnan(x), 0.5, (below + above) / 2)
        return out

    def _log(self, numbers: NDArray[np.float64]) -> NDArray[np.float32]:
        scaled = np.nan_to_num((_log1p(numbers) - self.mean) / self.std, nan=0.0)
        return scaled.clip(-_CLIP, _CLIP).astype(np.float32)

    def _categories(self, frame: pl.DataFrame) -> NDArray[np.int32]:
        out = np.zeros((frame.height, len(self.levels)), np.int32)
        for j, (name, levels) in enumerate(
            zip(_named(self.schema, *_LEVELLED), self.levels, strict=True)
        ):
            ids = {level: i for i, level in enumerate(levels, 1)}
            out[:, j] = [ids.get(value, 0) for value in _as_levels(frame, name)]
        return out

    @property
    def columns(self) -> dict[str, Tensor]:
        """Key of a batch -> which column of the schema each of its columns encodes; no text."""
        place = {column.name: i for i, column in enumerate(self.schema.columns)}
        read = [*_named(self.schema, "number")]
        read += [name for name in _named(self.schema, "datetime") for _ in range(_TIME_PARTS)]
        numbers = torch.tensor([place[name] for name in read], dtype=torch.int64)
        keys = ("quantile", "log", "raw") if self.raw else ("quantile", "log")
        found = dict.fromkeys(keys if read else (), numbers)
        if self.missing.any():
            found["missing"] = numbers[torch.from_numpy(self.missing)]
        if self.levels:
            found["categories"] = torch.tensor([place[n] for n in _named(self.schema, *_LEVELLED)])
        return found

    def arrays(self) -> StateDict:
        """The numeric part, to be kept beside the networks."""
        arrays: dict[str, NDArray[Any]] = {
            "quantiles": self.quantiles,
            "mean": self.mean,
            "std": self.std,
        }
        if self.vocabulary is not None:
            arrays["idf"] = self.vocabulary.idf
        return {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}

    def to_json(self) -> dict[str, Any]:
        """Everything but the arrays."""
        words = self.vocabulary
        return {
            "schema": self.schema.to_json(),
            "missing": self.missing.tolist(),
            "raw": self.raw,
            "levels": [list(levels) for levels in self.levels],
            "vocabulary": words
            and {"words": list(words.words), "pairs": list(words.pairs), "length": words.length},
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any], arrays: StateDict) -> Encoder:
        """Rebuild what `to_json` and `arrays` gave."""
        numeric = {name: tensor.numpy() for name, tensor in arrays.items()}
        words = record["vocabulary"]
        return cls(
            schema=Schema.from_json(record["schema"]),
            quantiles=numeric["quantiles"],
            mean=numeric["mean"],
            std=numeric["std"],
            missing=np.asarray(record["missing"], bool),
            levels=tuple(tuple(levels) for levels in record["levels"]),
            vocabulary=words
            and Vocabulary(
                tuple(words["words"]), tuple(words["pairs"]), numeric["idf"], words["length"]
            ),
            raw=record.get("raw", False),
        )


def fit_encoder(frame: pl.DataFrame, schema: Schema) -> Encoder:
    """Learn the encodings from training rows.

    Args:
        frame: The training rows, with the schema's columns.
        schema: Their types.
    """
    numbers = _numbers(frame, schema)
    knots = min(KNOTS, max(2, frame.height))
    ranks = np.linspace(0.0, 1.0, knots)
    known = np.where(np.isnan(numbers).all(0), 0.0, numbers)  # a part may hold no value at all
    logs = _log1p(known)
    std = np.nanstd(logs, 0)
    text = _tokens(frame, schema) if _named(schema, "text") else None
    return Encoder(
        schema=schema,
        quantiles=np.maximum.accumulate(np.nanquantile(known, ranks, axis=0).T, axis=1)
        if numbers.size
        else np.zeros((0, knots)),
        mean=np.nanmean(logs, 0) if numbers.size else np.zeros(0),
        std=np.where(std > 1e-12, std, 1.0),
        missing=np.asarray(np.isnan(numbers).any(0)),
        levels=tuple(_fit_levels(frame, name) for name in _named(schema, *_LEVELLED)),
        vocabulary=fit_vocabulary(text) if text is not None else None,
    )


_LEVELLED = ("category", "boolean")


def _named(schema: Schema, *types: str) -> list[str]:
    return [column.name for column in schema.columns if column.type in types]


def _log1p(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sign(x) * np.log1p(np.abs(x))


def _numbers(frame: pl.DataFrame, schema: Schema) -> NDArray[np.float64]:
    """Numbers, and each date-time as day, weekday, day of the year and hour; NaN where missing."""
    import polars as pl

    wanted = [pl.col(name).cast(pl.Float64) for name in _named(schema, "number")]
    for name in _named(schema, "datetime"):
        time = pl.col(name).cast(pl.Datetime("us"))
        wanted += [
            (time.dt.epoch("s") / 86_400).cast(pl.Float64),
            time.dt.weekday().cast(pl.Float64),
            time.dt.ordinal_day().cast(pl.Float64),
            time.dt.hour().cast(pl.Float64),
        ]
    if not wanted:
        return np.zeros((frame.height, 0))
    named = [column.alias(str(i)) for i, column in enumerate(wanted)]
    return frame.select(named).fill_null(float("nan")).to_numpy().astype(np.float64, copy=False)


def _as_levels(frame: pl.DataFrame, name: str) -> list[str | None]:
    import polars as pl

    levels: list[str | None] = frame[name].cast(pl.String).to_list()
    return levels


def _fit_levels(frame: pl.DataFrame, name: str) -> tuple[str | None, ...]:
    counts = Counter(_as_levels(frame, name))
    # by count, then by name: the order must not depend on which row came first
    kept = sorted(
        (-rows, level is None, level or "") for level, rows in counts.items() if rows >= _MIN_LEVEL
    )
    return tuple(None if is_missing else level for _, is_missing, level in kept[:_MAX_LEVELS])


def _tokens(frame: pl.DataFrame, schema: Schema) -> list[list[str]]:
    return [tokenise(row) for row in frame.select(_named(schema, "text")).iter_rows()]
