"""A run folder -> a predictor: its schema, its encoder, and the network of one row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alnico.data.encode import Encoder
from alnico.data.schema import conform
from alnico.data.table import Table, read_table
from alnico.data.target import encode_target
from alnico.errors import AlnicoError, DataError, RecipeError, RunFolderError
from alnico.evaluation.calibration import Calibration
from alnico.evaluation.evaluate import evaluate
from alnico.fusing import Fused
from alnico.networks import Architecture, build
from alnico.probing import read_outputs
from alnico.pruning import narrow_
from alnico.registry import closest
from alnico.runs import MEMBERS, MODEL, Run, read_run
from alnico.structures import structures
from alnico.types import Inputs, StateDict, Task

if TYPE_CHECKING:
    import polars as pl
    from narwhals.typing import IntoFrame

    Readable: TypeAlias = str | PathLike[str] | IntoFrame | Table


def load(run: str | PathLike[str], *, row: int | None = None) -> Predictor:
    """Open a run folder for prediction.

    Args:
        run: The folder that `alnico fit` wrote.
        row: The leaderboard row that predicts; None takes the one that the run has chosen: the
            distilled network if it keeps enough of the gain, else the best by validation.

    Raises:
        RunFolderError: If it is not a run folder, or a file in it was changed.
        RecipeError: If there is no such row.

    Example:
        >>> import alnico
        >>> model = alnico.load("run/")                       # doctest: +SKIP
        >>> model.predict("new.csv")                          # doctest: +SKIP
    """
    return Predictor.of(read_run(Path(run)), row=row)


class Predictor:
    """The network of one leaderboard row, with all it takes to feed it a table.

    Args:
        encoder: How it reads a table.
        task: What it predicts.
        target: The column that it predicts.
        metric: What its leaderboard is ranked by.
        row: Its row of the leaderboard.
        network: A batch of the encoder -> [n, c].
        calibration: What its outputs go through.
    """

    def __init__(
        self,
        *,
        encoder: Encoder,
        task: Task,
        target: str,
        metric: str,
        row: Mapping[str, Any],
        network: nn.Module,
        calibration: Calibration,
    ) -> None:
        self.encoder = encoder
        self.task = task
        self.target = target
        self.metric = metric
        self.row = row
        self.network = network
        self.calibration = calibration

    @classmethod
    def of(cls, run: Run, *, row: int | None = None) -> Self:
        """The predictor of an open run folder.

        Args:
            run: The folder.
            row: The number of the row; None takes the one that the run has chosen.
        """
        with explained(run):
            return cls._read(run, row)

    @classmethod
    def _read(cls, run: Run, number: int | None) -> Self:
        record = run.record
        chosen = predicting_row(record)
        row = _find_row(record["rows"], chosen if number is None else number)
        tensors = run.tensors(MODEL)
        if row["row"] != chosen:
            tensors = tensors | run.tensors(MEMBERS)
        encoder, task = read_encoder(record, tensors), read_task(record)
        members = [
            read_network(record, network, tensors, encoder.inputs, task)
            for network in row["networks"]
        ]
        own = _under(tensors, f"row.{row['row']}")
        structure = None
        if row["structure"] is not None:
            structure = structures[row["structure"]["name"]](**row["structure"]["settings"])
            structure.load_state_dict(_under(own, "structure"))
        return cls(
            encoder=encoder,
            task=task,
            target=record["options"]["target"],
            metric=record["metric"],
            row=row,
            network=Fused(members, structure).eval(),
            calibration=Calibration(own["scale"], own["offset"]),
        )

    def predict(self, table: Readable) -> NDArray[Any]:
        """The most likely class of each row, or its predicted number.

        Args:
            table: A path, or a Polars or pandas frame; the target column is not needed.
        """
        scores = self.scores(table)
        return labels(scores, self.task)

    def predict_proba(self, table: Readable) -> NDArray[np.float64]:
        """Calibrated probabilities of the classes, in the order of `task.classes`. -> [n, c]

        Raises:
            RecipeError: If the run is a regression.
        """
        if not self.task.is_classification:
            raise RecipeError("a regression has no probabilities", help="use predict")
        return self.scores(table)

    def scores(self, table: Readable) -> NDArray[np.float64]:
        """Probabilities [n, c] of a classification, values [n] of a regression."""
        opened = _opened(table)
        frame = conform(opened.frame, self.encoder.schema, source=opened.source)
        raw = read_outputs(self.network, self.encoder.encode(frame)).logits
        return prediction(self.calibration(raw), self.task)

    def as_frame(self, table: Readable, *, keep: bool = False) -> pl.DataFrame:
        """Predictions as a table, rows in order.

        Args:
            table: A path or a frame.
            keep: Put the input's columns in front.

        Returns:
            Columns `prediction`, and `probability_<class>` for each class.
        """
        import polars as pl

        opened = _opened(table)
        scores = self.scores(opened)
        columns = {"prediction": labels(scores, self.task)}
        if self.task.is_classification:
            names = (f"probability_{name}" for name in self.task.classes)
            columns |= dict(zip(names, scores.T, strict=True))
        made = pl.DataFrame(columns)
        if not keep:
            return made
        taken = [name for name in made.columns if name in opened.frame.columns]
        if taken:
            raise RecipeError(
                f"the input has columns named like predictions: {', '.join(taken)}",
                help="rename them, or leave out --keep",
            )
        return pl.concat([opened.frame, made], how="horizontal")

    def evaluate(self, table: Readable) -> dict[str, float]:
        """Every metric of the task on a labelled table.

        Args:
            table: A path or a frame with the target column.
        """
        opened = _opened(table)
        if self.target not in opened.frame.columns:
            near = closest(self.target, opened.frame.columns)
            raise DataError(
                f"{opened.source} has no column {self.target!r} to evaluate against",
                help=f"could it be {near!r}? Rename it"
                if near
                else "add it; `alnico predict` takes rows without a target",
            )
        target = encode_target(opened.frame[self.target], self.task, source=opened.source)
        return evaluate(target, self.scores(opened), self.task)


def _opened(table: Readable) -> Table:
    return table if isinstance(table, Table) else read_table(table)


def prediction(calibrated: Tensor, task: Task) -> NDArray[np.float64]:
    """Calibrated outputs [n, c] -> probabilities [n, c], or values [n] in the target's units."""
    if task.is_classification:
        return torch.softmax(calibrated.double(), -1).numpy()
    return calibrated.squeeze(-1).double().numpy() * task.scale + task.center


def labels(scores: NDArray[np.float64], task: Task) -> NDArray[Any]:
    """Probabilities [n, c] -> the likeliest label of each row [n]; values stay as they are."""
    if not task.is_classification:
        return scores
    found: NDArray[Any] = np.asarray(task.classes)[scores.argmax(1)]
    return found


def _find_row(rows: list[dict[str, Any]], number: int | None) -> dict[str, Any]:
    wanted = 1 if number is None else number
    for row in rows:
        if row["row"] == wanted:
            return row
    have = [row["row"] for row in rows if row["row"] is not None]
    raise RecipeError(f"there is no row {wanted}", help=f"rows are {min(have)} to {max(have)}")


def _under(tensors: StateDict, prefix: str) -> StateDict:
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


@contextmanager
def explained(run: Run) -> Iterator[None]:
    """Say of whatever goes wrong while networks are made anew that the run folder is unsound.

    Raises:
        RunFolderError: Instead of errors that are not our own.
    """
    try:
        yield
    except AlnicoError:
        raise
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise RunFolderError(
            f"{run.folder}: run.json and the networks do not fit together ({error})",
            help="restore the folder from where it was written",
        ) from error


def predicting_row(record: Mapping[str, Any]) -> int:
    """The number of the row that predicts by default, given a run's record."""
    chosen: int = (record.get("predicts") or {"row": 1})["row"]
    return chosen


def read_task(record: Mapping[str, Any]) -> Task:
    """What a run predicts, from its record."""
    task = record["task"]
    return Task(**{**task, "classes": tuple(task["classes"])})


def read_encoder(record: Mapping[str, Any], tensors: StateDict) -> Encoder:
    """How a run reads a table, from its record and the tensors of its model file."""
    return Encoder.from_json(record["encoder"], _under(tensors, "encoder"))


def read_network(
    record: Mapping[str, Any], number: int, tensors: StateDict, inputs: Inputs, task: Task
) -> nn.Module:
    """One of a run's networks, from its record and its tensors; a pruned one is made narrow."""
    module = build(Architecture(**record["networks"][number]), inputs, task.n_outputs)
    state = _under(tensors, f"network.{number}")
    narrow_(module, state)
    module.load_state_dict(state)
    return module
