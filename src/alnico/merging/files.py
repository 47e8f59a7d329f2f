"""Models on disk, merged into one in memory, or into files with their record."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from alnico.checkpoint.header import ARRAYS
from alnico.checkpoint.names import vocabulary_axes
from alnico.checkpoint.opened import Checkpoint, open_checkpoint
from alnico.errors import RecipeError, UnknownNameError
from alnico.merging.alike import Choice, Keep, merge_by, plan_alike
from alnico.merging.execute import How, execute
from alnico.merging.record import describe, forms_of
from alnico.merging.saving import Order, check_place, write_plan
from alnico.merging.steps import NAMES, Form, Forms, Plan
from alnico.methods import Method
from alnico.methods._method import Value
from alnico.progress import phase, spaced
from alnico.registry import suggest

if TYPE_CHECKING:
    from alnico.types import StateDict

Paths = Sequence[str | Path]


def merge_paths(
    paths: Paths,
    /,
    method: str | Method = "linear",
    *,
    base: str | Path | None = None,
    seed: int = 0,
    **parameters: Value,
) -> StateDict:
    """Merge models on disk into a state dict; see `merge_states`.

    All headers are checked before a tensor is read, and the models are read block by block.

    Raises:
        DataError: If there is no such model, or it changes meanwhile.
        UnsafeFileError: If reading a file could do harm, or it is not as its format says.
        AlnicoError: As `merge_states` does.
    """
    import torch

    from alnico.checkpoint.reader import DTYPES

    with open_models(paths, base) as models:
        plan = plan_files(models, method, parameters, has_base=base is not None, seed=seed)
        target = _Memory({step.name: step.form for step in plan.steps})
        with phase("merge", describe(plan), total=len(plan.steps)) as work:
            execute(plan, models, target, How(), work)
        for model in models:
            model.check_unchanged()
    return {
        name: torch.from_numpy(values).view(DTYPES[form.dtype]).reshape(form.shape)
        for (name, values), form in zip(target.values.items(), target.forms.values(), strict=True)
    }


def merge_files(
    paths: Paths,
    output: str | Path,
    /,
    method: str | Method = "linear",
    *,
    base: str | Path | None = None,
    dtype: str | None = None,
    seed: int = 0,
    integers_from: str | Path | None = None,
    order: Order | None = None,
    **parameters: Value,
) -> dict[str, object]:
    """Merge models on disk into a new one, and write beside it how it was made.

    Args:
        paths: The models: files, folders or names on the hub.
        output: Where the merged model is to be: a `.safetensors` file, or a folder.
        method: A merge method, or its name.
        base: The model that all came from; a method that sees deltas needs it.
        dtype: Of the output's floating-point tensors, e.g. `bfloat16`; None keeps the models'.
        seed: Of methods that draw random numbers.
        integers_from: The one of the models whose integer tensors are taken where they differ.
        order: How it is written.
        **parameters: Of the method.

    Returns:
        The record.

    Raises:
        OutputError: If the output is an input, is there already or cannot be written.
        AlnicoError: As `merge_paths` does.
    """
    place, how = Path(output), order or Order()
    with open_models(paths, base) as models:
        check_place(place, models, force=how.force)
        plan = plan_files(
            models,
            method,
            parameters,
            has_base=base is not None,
            dtype=dtype,
            seed=seed,
            integers_from=None if integers_from is None else str(integers_from),
        )
        if how.metadata is None:
            how = dataclasses.replace(how, metadata=common_metadata(models))
        return write_plan(plan, models, place, how)


@contextmanager
def open_models(paths: Paths, base: str | Path | None = None) -> Iterator[list[Checkpoint]]:
    """Open models and their base, which comes last; they are closed at the end of the block.

    Raises:
        DataError: If there is no such model.
        UnsafeFileError: If reading a file could do harm, or it is not as its format says.
    """
    with ExitStack() as stack:
        with phase("read", "headers") as work:
            wanted = [*paths, *([] if base is None else [base])]
            models = [stack.enter_context(open_checkpoint(path)) for path in wanted]
            if models:
                work.say(counted(models, has_base=base is not None))
        yield models


def plan_files(
    models: Sequence[Checkpoint],
    method: str | Method,
    parameters: Mapping[str, Value],
    *,
    has_base: bool,
    dtype: str | None = None,
    seed: int = 0,
    integers_from: str | None = None,
) -> Plan:
    """Plan a merge of models by one method in all their tensors.

    Args:
        models: Opened; the base last.
        method: A merge method, or its name.
        parameters: Of the method.
        has_base: Whether the last is a base.
        dtype: Of the output, as torch calls it.
        seed: Of methods that draw random numbers.
        integers_from: The model whose integer tensors are taken.

    Raises:
        AlnicoError: As `merge_paths` does, before a tensor is read.
    """
    tuned = list(models)[: len(models) - has_base]
    merge = merge_by(method, parameters, n_models=len(tuned), has_base=has_base)
    labelled = [(str(model.path), forms_of(model)) for model in models]
    donor = _donor([label for label, _ in labelled], integers_from)
    shapes = {name: form.shape for name, form in labelled[0][1].items()}

    def choose(name: str) -> Choice:
        if donor is None or labelled[0][1][name].has_mean:
            return merge
        return Keep(donor)

    with phase("check", "same names, shapes, dtypes"):
        return plan_alike(
            labelled[: len(tuned)],
            choose,
            base=labelled[-1] if has_base else None,
            dtype=None if dtype is None else dtype_of(dtype),
            seed=seed,
            tokens=vocabulary_axes(shapes, models[0].config),
        )


def dtype_of(name: str) -> str:
    """What safetensors calls a dtype that is given as torch calls it: `bfloat16` -> `BF16`.

    Raises:
        RecipeError: If it is none that weights have.
    """
    wanted = name.removeprefix("torch.")
    known = {called: dtype for dtype, called in NAMES.items() if Form(dtype, ()).has_mean}
    if wanted not in known:
        raise RecipeError(
            f"dtype {name!r} is none that weights are written in",
            help=suggest(wanted, known, all_of_them="there are"),
        )
    return known[wanted]


def common_metadata(models: Sequence[Checkpoint]) -> dict[str, str]:
    """The notes that all models' files agree on, such as the format that a library asks for."""
    first, *others = (model.metadata for model in models)
    return {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}


def _donor(labels: Sequence[str], wanted: str | None) -> int | None:
    if wanted is None:
        return None
    if wanted not in labels:
        raise UnknownNameError(f"{wanted!r} is not one of the models", help=suggest(wanted, labels))
    return labels.index(wanted)


def counted(models: Sequence[Checkpoint], *, has_base: bool = False) -> str:
    """How many models there are, and how large the first is, in words.

    Args:
        models: Opened; the base last.
        has_base: Whether the last is a base.
    """
    n = len(models) - has_base
    counted = f"{n} model" + "s" * (n != 1) + ", a base" * has_base
    forms: Forms = forms_of(models[0])
    n_weights = sum(form.n_entries for form in forms.values())
    dtypes = dict.fromkeys(form.dtype_name for form in forms.values() if form.has_mean)
    return f"{counted}, {spaced(len(forms))} tensors, {spaced(n_weights)} weights, " + ", ".join(
        dtypes
    )


class _Memory:
    """Merged tensors in memory; see `execute.Target`."""

    def __init__(self, forms: Forms) -> None:
        self.forms = forms
        self.values = {
            name: np.empty(form.n_entries, ARRAYS[form.dtype]) for name, form in forms.items()
        }
        self.done: dict[str, str] = {}

    def put(self, name: str, start: int, block: np.ndarray) -> None:
        values = self.values[name]
        values[start : start + len(block)] = block.view(values.dtype)

    def finish(self, name: str, digest: str) -> None:
        self.done[name] = digest

    def read(self, name: str, start: int, stop: int, out: np.ndarray) -> None:
        out[:] = self.values[name][start:stop]
