"""The scikit-learn face of fitting: a classifier and a regressor for data frames."""

from __future__ import annotations

import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from alnico.data.table import read_table
from alnico.errors import DataError, NotFittedError, RecipeError
from alnico.evaluation.drawing import draw_leaderboard
from alnico.evaluation.metrics import metrics
from alnico.fitting import Fitted, Options, as_tuple, fit_table, predictor, save_run, seconds
from alnico.predicting import Predictor
from alnico.registry import need, suggest

if TYPE_CHECKING:
    import polars as pl
    from torch import nn

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


class _Fusion(ABC):
    """What the classifier and the regressor share.

    Args:
        time_limit: `"5m"`, or seconds; without it, a fit repeats itself exactly.
        trials: How many families the search trains after the first pass; None is as many as a time
            limit leaves room for, and none without one.
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
        together: Schemes of training together: `apart`, `shared`, `papa`; empty is all.
        start_from: An earlier run folder: its members are warm starts, and members.
        members: Trained modules of yours that join in: each maps float32 numbers [n, columns], in
            the table's order and units, to [n, classes] logits, or to values [n, 1].
    """

    def __init__(
        self,
        *,
        time_limit: str | float | None = None,
        trials: int | None = None,
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
        together: Sequence[str] = (),
        start_from: str | PathLike[str] | None = None,
        members: Sequence[nn.Module] = (),
    ) -> None:
        self.time_limit = time_limit
        self.trials = trials
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
        self.together = together
        self.start_from = start_from
        self.members = members

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
        for name in values:
            if name not in known:
                raise RecipeError(
                    f"{type(self).__name__} has no parameter {name!r}", help=suggest(name, known)
                )
        for name, value in values.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        given = inspect.signature(type(self)).parameters
        changed = {k: v for k, v in self.get_params().items() if v != given[k].default}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"

    def fit(self, X: Any, y: Any) -> Self:
        """Train, fuse and rank. An interrupt keeps the best so far, with a warning.

        Args:
            X: A Polars or pandas frame, or a two-dimensional array. [n, columns]
            y: The target. [n]

        Raises:
            DataError: If the data cannot be used.
            RecipeError: If a parameter is out of range.
            KeyboardInterrupt: If it comes before a member is trained.
        """
        features = read_table(_as_frame(X)).frame
        values = _as_target(y, features)
        table = read_table(features.with_columns(values), name="X and y")
        options = self._options(values.name, self._task_of(values))
        fitted = fit_table(table, options, members=tuple(self.members))
        if fitted.status == "interrupted":
            warnings.warn(
                "the fit was interrupted: the best so far is kept, the test part is still shut",
                stacklevel=2,
            )
        self._keep(fitted)
        self.n_features_in_ = features.width
        return self

    @staticmethod
    @abstractmethod
    def _task_of(values: pl.Series) -> str:
        """The task that is asked for, given the target."""

    def _options(self, target: str, task: str) -> Options:
        return Options(
            target=target,
            task=task,
            metric=self.metric,
            time_limit=seconds(self.time_limit),
            trials=self.trials,
            seed=self.random_state,
            drop=as_tuple(self.drop),
            text=as_tuple(self.text),
            category=as_tuple(self.category),
            group=self.group,
            time_column=self.time_column,
            optimisers=as_tuple(self.optimisers),
            architectures=as_tuple(self.architectures),
            kinds=as_tuple(self.kinds),
            together=as_tuple(self.together),
            start_from=None if self.start_from is None else str(self.start_from),
        )

    def _keep(self, fitted: Fitted) -> None:
        self._fitted = fitted
        self.leaderboard_ = Leaderboard(fitted.records(), fitted.prepared.metric.name)
        self.verdict_ = fitted.verdict.text if fitted.verdict else ""
        self.predicts_ = fitted.predicts.why if fitted.predicts else ""
        self._predictor: Predictor = predictor(fitted)

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

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_predictor")

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

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels, in the order of the columns of `predict_proba`."""
        return np.asarray(self._ready().task.classes)

    def score(self, X: Any, y: Any) -> float:
        """The share of rows whose class is predicted right."""
        return float(np.mean(self.predict(X) == np.asarray(y)))

    def __sklearn_tags__(self) -> Any:
        return _tags("classifier", classifier_tags=need("sklearn.utils").ClassifierTags())

    @staticmethod
    def _task_of(values: pl.Series) -> str:
        # a classifier takes numbers as classes, however many there are
        return "binary" if values.n_unique() == 2 else "multiclass"


class FusionRegressor(_Fusion):
    """Train several networks on a table, fuse them, and predict a number with the best row.

    Example:
        >>> from alnico import FusionRegressor
        >>> model = FusionRegressor(metric="mae").fit(X, y)           # doctest: +SKIP
    """

    _estimator_type = "regressor"

    def score(self, X: Any, y: Any) -> float:
        """The share of the variance that is explained, R2."""
        target = np.asarray(y, np.float64)
        return metrics["r2"].score(target, self.predict(X))

    def __sklearn_tags__(self) -> Any:
        return _tags("regressor", regressor_tags=need("sklearn.utils").RegressorTags())

    @staticmethod
    def _task_of(values: pl.Series) -> str:
        del values
        return "regression"


def _parameters(cls: type) -> list[str]:
    return list(inspect.signature(cls).parameters)


def _tags(kind: str, **own: Any) -> Any:
    """What scikit-learn asks an estimator about itself."""
    tags = need("sklearn.utils")
    takes = tags.InputTags(allow_nan=True, categorical=True, string=True)
    settled = {"classifier_tags": None, "regressor_tags": None, "transformer_tags": None}
    return tags.Tags(
        estimator_type=kind,
        target_tags=tags.TargetTags(required=True),
        input_tags=takes,
        **{**settled, **own},
    )


def _as_frame(X: Any) -> Any:
    """An array as a frame of columns x0, x1, ...; a frame as it is."""
    if not isinstance(X, np.ndarray):
        return X
    if X.ndim != 2:
        raise DataError(
            f"X is rows and columns, got an array of {X.ndim} axes", help="X.reshape(-1, 1)"
        )
    return need("polars").DataFrame([_column(f"x{i}", X[:, i]) for i in range(X.shape[1])])


def _as_target(y: Any, features: pl.DataFrame) -> pl.Series:
    """The target as a column of its own name, or of another that no feature has."""
    shape = np.shape(y)
    if len(shape) != 1:
        raise DataError(f"y is one value a row, got {len(shape)} axes", help="y.ravel()")
    if shape[0] != features.height:
        raise DataError(
            f"X has {features.height} rows and y has {shape[0]}", help="give one y for each row"
        )
    name = str(getattr(y, "name", None) or _TARGET)
    while name in features.columns:
        name += "_"
    if hasattr(y, "to_frame"):  # a series of any kind
        return read_table(y.to_frame(name), name="y").frame.to_series()
    return _column(name, np.asarray(y))


def _column(name: str, array: NDArray[Any]) -> pl.Series:
    import polars as pl

    try:
        return pl.Series(name, array.tolist() if array.dtype.kind == "O" else array)
    except TypeError as error:
        raise DataError(f"{name} holds values of several types", help="give it one type") from error
