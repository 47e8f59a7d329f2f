"""Models in safetensors files, merged into one in memory, or into a file with its record."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

from alnico.checkpoint.files import check_place, new_file, sha256
from alnico.checkpoint.writer import write_tensors
from alnico.errors import OutputError
from alnico.merging.passes import Merged, run
from alnico.merging.plan import Forms, Plan, dtype_name, make_plan
from alnico.merging.record import describe, make_record
from alnico.merging.sources import Source, in_groups, open_source
from alnico.merging.states import tell_counters
from alnico.methods import Method
from alnico.methods._method import Value
from alnico.progress import phase, spaced
from alnico.types import StateDict

SUFFIX = ".safetensors"


def merge_paths(
    paths: Sequence[str | Path],
    /,
    method: str | Method = "linear",
    *,
    base: str | Path | None = None,
    **parameters: Value,
) -> StateDict:
    """Merge models of one architecture, each a safetensors file; see `merge_states`.

    All headers are checked before a tensor is read, and only some tensors of each model are in
    memory at a time.

    Raises:
        DataError: If there is no such file, or one changes meanwhile.
        UnsafeFileError: If a file is a pickle, or not exactly as its format says.
        AlnicoError: As `merge_states` does.
    """
    models, root = _open(paths, base)
    plan = _check(models, root, method, parameters)
    done = _merge(plan, models, root)
    _check_unchanged(models, root)
    return done.tensors


def merge_files(
    paths: Sequence[str | Path],
    output: str | Path,
    /,
    method: str | Method = "linear",
    *,
    base: str | Path | None = None,
    force: bool = False,
    **parameters: Value,
) -> dict[str, object]:
    """Merge safetensors files into a new one, and write beside it how it was made.

    The record lies at `NAME.run.json` for an output `NAME.safetensors`: method, parameters,
    versions, the hash of every file, and what became of each tensor.

    Args:
        paths: The models.
        output: Where the merged model is to be.
        method: A merge method, or its name.
        base: The model that all came from; a method that sees deltas needs it.
        force: Whether an output that is there may be replaced; an input never is.
        **parameters: Of the method.

    Returns:
        The record.

    Raises:
        OutputError: If the output is an input, is there already or cannot be written.
        AlnicoError: As `merge_paths` does.
    """
    place = Path(output)
    record_place = place.with_suffix(".run.json")
    inputs = [*paths, *([] if base is None else [base])]
    _check_output(place, record_place, [Path(path) for path in inputs], force=force)
    models, root = _open(paths, base)
    plan = _check(models, root, method, parameters)
    _check_disk(place, plan.forms)
    done = _merge(plan, models, root)
    with phase("write", str(place)) as work, new_file(record_place, force=force) as partial:
        record = make_record(plan, models, root, done)
        _check_unchanged(models, root)
        write_tensors(place, done.tensors, _common_metadata(models), force=force)
        digest, n_bytes = sha256(place), place.stat().st_size
        record["output"] = {"path": str(place), "sha256": digest, "bytes": n_bytes}
        partial.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", "utf-8")
        work.say(f"{place}  {spaced(n_bytes)} bytes  sha256 {digest[:8]}")
    return record


def _open(
    paths: Sequence[str | Path], base: str | Path | None
) -> tuple[list[Source], Source | None]:
    with phase("read", "headers") as work:
        models = [open_source(path) for path in paths]
        root = None if base is None else open_source(base)
        if models:
            forms = models[0].forms
            dtypes = dict.fromkeys(dtype_name(f.dtype) for f in forms.values() if f.has_mean)
            n_weights = sum(math.prod(form.shape) for form in forms.values())
            counted = f"{len(models)} model" + "s" * (len(models) > 1) + ", a base" * bool(root)
            work.say(
                f"{counted}, {spaced(len(forms))} tensors, {spaced(n_weights)} weights, "
                + ", ".join(dtypes)
            )
    return models, root


def _check(
    models: Sequence[Source],
    base: Source | None,
    method: str | Method,
    parameters: dict[str, Value],
) -> Plan:
    with phase("check", "safetensors only; same names, shapes, dtypes"):
        return make_plan(
            [(str(model.path), model.forms) for model in models],
            method,
            parameters,
            base=None if base is None else (str(base.path), base.forms),
        )


def _merge(plan: Plan, models: Sequence[Source], base: Source | None) -> Merged:
    tensors: StateDict = {}
    counters: list[str] = []
    with phase("merge", describe(plan), total=len(plan.forms)) as work:
        for names in in_groups(plan.forms):
            states = [model.read(names) for model in models]
            part = run(plan, states, None if base is None else base.read(names))
            tensors.update(part.tensors)
            counters.extend(part.counters)
            work.advance(len(names))
    done = Merged({name: tensors[name] for name in plan.forms}, counters)
    tell_counters(done)
    return done


def _check_unchanged(models: Sequence[Source], base: Source | None) -> None:
    for source in (*models, *([] if base is None else [base])):
        source.check_unchanged()


def _check_output(place: Path, record: Path, inputs: Sequence[Path], *, force: bool) -> None:
    if place.suffix.lower() != SUFFIX:
        raise OutputError(
            f"{place}: a merged model ends in {SUFFIX}", help=f"-o {place.with_suffix(SUFFIX)}"
        )
    for source in inputs:
        if _is_same(place, source):
            raise OutputError(
                f"{place} is an input itself, and inputs are never changed",
                help="give the output another name",
            )
    for new in (place, record):
        check_place(new, force=force)
        if new.is_dir():
            raise OutputError(f"{new} is a folder, not a file", help="choose another output")


def _is_same(a: Path, b: Path) -> bool:
    return a.resolve() == b.resolve() or (a.exists() and b.exists() and a.samefile(b))


def _check_disk(place: Path, forms: Forms) -> None:
    needed = sum(form.n_bytes for form in forms.values())
    free = shutil.disk_usage(place.parent).free
    if needed > free:
        raise OutputError(
            f"{place} needs {spaced(needed)} bytes, and {spaced(free)} are free",
            help="free some space, or choose another -o",
        )


def _common_metadata(models: Sequence[Source]) -> dict[str, str]:
    """The notes that all models' files agree on, such as the format that a library asks for."""
    first, *others = (model.header.metadata for model in models)
    return {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}
