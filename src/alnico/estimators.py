"""The scikit-learn face of fitting: a classifier and a regressor for data frames."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from alnico.data.table import read_table
from alnico.errors import DataError, NotFittedError, RecipeError
from alnico.evaluation.drawing import draw_leaderboard
from alnico.fitting import Fitted, Options, as_tuple, fit_table, save_run, seconds
from alnico.predicting import Predictor, load
from alnico.registry import need

if TYPE_CHECKING:
    import polars as pl

_TARGET = "target"


class Leaderboard(list[dict[str, Any]]):
    """The rows of a leaderboard, best first; prints as a table.

    Args:
        rows: One record a row.
        metric: What they are ranked by.
    """

    def __init__(self, rows: Iterable[dict[str, Any]], metric: str) -> None:
        super().__init__(rows)
        self.metric = metric

    def __str__(self) -> str:
        return draw_leaderboard(self, metric=self.metric)


class _Fusion:
    """What the classifier and the regressor share.

    Args:
        time_limit: `"5m"`, or seconds; None trains the first pass only, and repeats itself exactly.
        metric: What rows are ranked by; None is the task's default.
        random_state: Seed of everything.
        text: Columns to read as text.
        category: Columns to read as categories.
        drop: Columns to leave out.
        group: Rows of one value of this column stay in one part.
        time_column: Parts follow one another in this column's time.
        optimisers: Names of optimisers to train members with; empty is the usual mix.
        architectures: Names of architectures to train; empty is all that fit the table.
        kinds: Kinds of rows to try; empty is all.
    """

    _task = "auto"

    def __init__(
        self,
        *,
        time_limit: str | float | None = None,
        metric: str | None = None,
        random_state: int = 0,
        text: Sequence[str] = (),
        category: Sequence[str] = (),
        drop: Sequence[str] = (),
        group: str | None = None,
        time_column: str | None = None,
        optimisers: Sequence[str] = (),
        architectures: Sequence[str] = (),
        kinds: Sequence[str] = (),
    ) -> None:
        self.time_limit = time_limit
        self.metric = metric
        self.random_state = random_state
        self.text = text
        self.category = category
        self.drop = drop
        self.group = group
        self.time_column = time_column
        self.optimisers = optimisers
        self.architectures = architectures
        self.kinds = kinds

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments, as scikit-learn asks for them."""
        del deep
        return {name: getattr(self, name) for name in _parameters(type(self))}

    def set_params(self, **values: Any) -> Self:
        """Change constructor arguments.

        Raises:
            RecipeError: If there is no such argument.
        """
        known = _parameters(type(self))
        for name, value in values.items():
            if name not in known:
                raise RecipeError(f"{type(self).__name__} has no parameter {name!r}")
            setattr(self, name, value)
        return self

    def fit(self, X: Any, y: Any) -> Self:
        """Train, fuse and rank.

        Args:
            X: A Polars or pandas frame, or a two-dimensional array. [n, columns]
            y: The target. [n]

        Raises:
            DataError: If the data cannot be used.
        """
        frame, name = _with_target(X, y)
        fitted = fit_table(read_table(frame), self._options(name))
        self._keep(fitted)
        return self

    def _options(self, target: str) -> Options:
        return Options(
            target=target,
            task=self._task,
            metric=self.metric,
            time_limit=seconds(self.time_limit),
            seed=self.random_state,
            drop=as_tuple(self.drop),
            text=as_tuple(self.text),
            category=as_tuple(self.category),
            group=self.group,
            time_column=self.time_column,
            optimisers=as_tuple(self.optimisers),
            architectures=as_tuple(self.architectures),
            kinds=as_tuple(self.kinds),
        )

    def _keep(self, fitted: Fitted) -> None:
        self._fitted = fitted
        self.leaderboard_ = Leaderboard(fitted.records(), fitted.prepared.metric.name)
        self.verdict_ = fitted.verdict.text if fitted.verdict else ""
        with tempfile.TemporaryDirectory() as folder:
            save_run(Path(folder) / "run", fitted)
            self._predictor: Predictor = load(Path(folder) / "run")
        self.classes_ = np.asarray(fitted.prepared.task.classes)
        self.n_features_in_ = len(self._predictor.encoder.schema.columns)

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest class, or the value, of each row. -> [n]"""
        return self._ready().predict(_as_frame(X))

    def save(self, folder: str | PathLike[str], *, force: bool = False) -> Path:
        """Write the run folder; `alnico.load` and every command read it.

        Args:
            folder: Where; must not exist.
            force: Replace a run folder that is there.
        """
        self._ready()
        save_run(Path(folder), self._fitted, force=force)
        return Path(folder)

    def _ready(self) -> Predictor:
        if not hasattr(self, "_predictor"):
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted yet", help="call fit(X, y) first"
            )
        return self._predictor


class FusionClassifier(_Fusion):
    """Train several networks on a table, fuse them, and predict a class with the best row.

    Example:
        >>> from alnico import FusionClassifier
        >>> model = FusionClassifier(time_limit="5m").fit(X, y)       # doctest: +SKIP
        >>> print(model.leaderboard_)                                 # doctest: +SKIP
    """

    _estimator_type = "classifier"

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Calibrated probabilities, in the order of `classes_`. -> [n, classes]"""
        return self._ready().predict_proba(_as_frame(X))


class FusionRegressor(_Fusion):
    """Train several networks on a table, fuse them, and predict a number with the best row.

    Example:
        >>> from alnico import FusionRegressor
        >>> model = FusionRegressor(metric="mae").fit(X, y)           # doctest: +SKIP
    """

    _task = "regression"
    _estimator_type = "regressor"


def _parameters(cls: type) -> list[str]:
    code = cls.__init__.__code__  # type: ignore[misc]
    return list(code.co_varnames[1 : 1 + code.co_kwonlyargcount])


def _as_frame(X: Any) -> Any:
    if isinstance(X, np.ndarray):
        if X.ndim != 2:
            raise DataError(f"expected rows and columns, got an array of {X.ndim} axes")
        pl = need("polars")
        return pl.DataFrame({f"x{i}": X[:, i] for i in range(X.shape[1])})
    return X


def _with_target(X: Any, y: Any) -> tuple[pl.DataFrame, str]:
    import polars as pl

    frame = read_table(_as_frame(X)).frame
    values = pl.Series(_TARGET, np.asarray(y).tolist() if not isinstance(y, pl.Series) else y)
    if len(values) != frame.height:
        raise DataError(f"X has {frame.height} rows and y has {len(values)}")
    name = str(getattr(y, "name", None) or _TARGET)
    while name in frame.columns:
        name += "_"
    return frame.with_columns(values.alias(name)), name
