"""A merge held against its base, its parents and their uniform average, by the user's own score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from alnico import progress
from alnico.checkpoint.header import FLOATS
from alnico.checkpoint.locate import locate
from alnico.checkpoint.opened import open_checkpoint
from alnico.errors import AlnicoError, RecipeError
from alnico.merging.execute import How
from alnico.merging.files import merge_files
from alnico.merging.own_score import Score
from alnico.merging.saving import Order
from alnico.merging.scores import Kind, Row, Scores, read_scores
from alnico.merging.steps import NAMES

if TYPE_CHECKING:
    from torch import nn

Judged: TypeAlias = "str | Path | nn.Module"
Entry: TypeAlias = "tuple[str, Kind, Path | nn.Module]"


def judge(
    score: Score,
    models: Mapping[str, Judged],
    *,
    merged: Judged,
    base: Judged | None = None,
    name: str = "merge",
    ensemble: bool = True,
    how: How | None = None,
) -> Scores:
    """Score a merge, its base, its parents and their uniform average; of modules an ensemble, too.

    The average is left out where it is the merge itself, or where there is none; that is told.

    Args:
        score: Called with each model in turn: its folder or `.safetensors` file as a `Path`, or the
            module. It gives a number, or a mapping of tasks to numbers; higher is better.
        models: Name -> parent of the merge; all as paths or hub names, or all as modules.
        merged: The merge, in the same form.
        base: The model that all came from, in the same form.
        name: What the merge is called.
        ensemble: Of modules, whether the mean of the parents' outputs is scored, too.
        how: How the average of files is made.

    Raises:
        RecipeError: If there are no parents, or forms are mixed.
        DataError: If there is no such model; or if the score gives no finite numbers, or other
            tasks from call to call.
    """
    given = [*models.values(), merged, *([] if base is None else [base])]
    if not models:
        raise RecipeError("a merge is held against its parents, and none is given")
    if all(isinstance(model, str | Path) for model in given):
        entries = _on_disk(models, merged, base, name, how or How())
    else:
        entries = _in_memory(models, merged, base, name, ensemble=ensemble)
    with entries as found, progress.phase("score", total=len(found)) as work:
        rows: list[Row] = []
        for title, kind, model in found:
            work.advance(0, text=title)
            of = f"{getattr(score, '__name__', 'the score')} of {title}"
            tasks = list(rows[0].scores) if rows else None
            rows.append(Row(title, kind, read_scores(score(model), of=of, tasks=tasks)))
            work.advance()
        work.say(f"{len(rows)} models in {', '.join(rows[0].scores)}")
    return Scores(tuple(rows))


@contextmanager
def _on_disk(
    models: Mapping[str, Judged], merged: Judged, base: Judged | None, name: str, how: How
) -> Iterator[list[Entry]]:
    """Models on disk, and for the time of the block their average beside the merge."""
    paths = {title: _where(str(path)) for title, path in models.items()}
    place = _where(str(merged))
    found: list[Entry] = [] if base is None else [("base", "base", _where(str(base)))]
    found += [(title, "parent", path) for title, path in paths.items()]
    with TemporaryDirectory(prefix=f".{place.name}.", dir=place.absolute().parent) as folder:
        average = Path(folder) / f"average{'' if place.is_dir() else '.safetensors'}"
        if _write_average(list(paths.values()), place, average, how):
            found.append(("average", "average", average))
        yield [*found, (name, "merge", place)]


def _where(path: str) -> Path:
    place = locate(path)
    return place.weights if place.folder is None else place.folder


def _write_average(paths: list[Path], merged: Path, place: Path, how: How) -> bool:
    """Write the uniform average of models in the merge's dtype; False if it is no row of its own.

    Args:
        paths: The models.
        merged: The merge.
        place: Where the average is to be.
        how: How it is made.
    """
    if len(paths) < 2:
        return False
    with open_checkpoint(merged) as model:
        dtypes = {entry.dtype for entry in model.tensors.values()} & FLOATS
    dtype = NAMES.get(dtypes.pop()) if len(dtypes) == 1 else None
    with progress.phase("average", f"of {len(paths)} models, as long as they are scored") as work:
        try:
            with progress.listen(lambda _: None):  # what is to be said of the models was said
                merge_files(paths, place, "linear", dtype=dtype, order=Order(how=how))
        except AlnicoError as error:
            work.say(f"the models have none: {error.message}")
            return False
        if _are_equal(place, merged):
            work.say("is the merge itself")
            return False
    return True


def _are_equal(one: Path, other: Path) -> bool:
    """Whether two models on disk have the same tensors, to the bit."""
    with open_checkpoint(one) as a, open_checkpoint(other) as b:
        forms = [{n: (e.dtype, e.shape) for n, e in model.tensors.items()} for model in (a, b)]
        return forms[0] == forms[1] and all(
            np.array_equal(a.array(name).view("u1"), b.array(name).view("u1")) for name in forms[0]
        )


@contextmanager
def _in_memory(
    models: Mapping[str, Judged],
    merged: Judged,
    base: Judged | None,
    name: str,
    *,
    ensemble: bool,
) -> Iterator[list[Entry]]:
    """Modules, with their average and their ensemble."""
    from torch import nn

    from alnico.merging.ensemble import Ensemble
    from alnico.merging.states import merge_modules

    modules = [model for model in models.values() if isinstance(model, nn.Module)]
    others = [model for model in (merged, base) if isinstance(model, nn.Module)]
    if len(modules) < len(models) or len(others) < 1 + (base is not None):
        raise RecipeError("the models are not in one form", help="give paths alone, or modules")
    found: list[Entry] = [] if base is None else [("base", "base", others[-1])]
    found += [(title, "parent", m) for title, m in zip(models, modules, strict=True)]
    rest: list[Entry] = [(name, "merge", others[0])]
    if len(modules) > 1:
        average = merge_modules(modules, "linear")
        state = others[0].state_dict()
        if any(not value.equal(state[key]) for key, value in average.state_dict().items()):
            rest.insert(0, ("average", "average", average))
        if ensemble:
            rest.append(("ensemble", "ensemble", Ensemble(modules)))
    yield [*found, *rest]
