"""How a merged model came about, for its record and in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from alnico.checkpoint.files import sha256 as sha256_of
from alnico.merging.digests import digest_model, digest_stored
from alnico.merging.plugin import file_of
from alnico.merging.steps import Form, Forms, Input, Plan, Step
from alnico.methods import Method
from alnico.methods._method import Value, plain
from alnico.progress import spaced

if TYPE_CHECKING:
    from alnico.checkpoint.opened import Checkpoint
    from alnico.checkpoint.sink import Sink

VERSION = 2

SMALL = 256 * 2**20
"""Files of a model that are together no larger are hashed with SHA-256 in any case."""

FATES = {"merge": "merged", "copy": "copied", "equal": "copied", "largest": "largest"}


def describe(plan: Plan) -> str:
    """The method and its parameters: `ties weight=1 density=0.2 scale=1`."""
    merged = [step for step in plan.steps if step.method is not None]
    if not merged:
        return "copy"
    names = dict.fromkeys(step.method.name for step in merged if step.method is not None)
    if len(names) > 1:
        return ", ".join(names)
    first = merged[0]
    if any(step.parameters != first.parameters for step in merged):
        return f"{next(iter(names))}, by tensor"
    shown = [f"{name}={_short(plain(value))}" for name, value in first.parameters.items()]
    return " ".join([*names, *shown])


def forms_of(model: Checkpoint) -> Forms:
    """The tensors of a model on disk."""
    return {name: Form(entry.dtype, tuple(entry.shape)) for name, entry in model.tensors.items()}


def fates(plan: Plan) -> dict[str, object]:
    """Fate -> names of tensors of the output; what was dropped, and why."""
    found: dict[str, object] = {}
    for fate in dict.fromkeys(FATES.values()):
        found[fate] = sorted(step.name for step in plan.steps if FATES[step.rule] == fate)
    found["dropped"] = [
        {
            "model": plan.models[each.input.model],
            "tensor": each.input.name,
            "reason": each.reason,
        }
        for each in plan.dropped
    ]
    return found


def make_record(
    plan: Plan,
    models: Sequence[Checkpoint],
    sink: Sink,
    digests: Mapping[Input, str],
    *,
    recipe: str,
    sha256: bool,
) -> dict[str, object]:
    """All that is to be known of a merge; JSON can hold it.

    Args:
        plan: What was done.
        models: The plan's models.
        sink: The output, with all tensors finished.
        digests: Of tensors of the models, where they are known; the others are read for it.
        recipe: In YAML.
        sha256: Whether large files are hashed with SHA-256, too.
    """
    first = next((step for step in plan.steps if step.method is not None), None)
    plugin = _plugin(first)
    described = [
        _describe(model, {each.name: d for each, d in digests.items() if each.model == i}, sha256)
        for i, model in enumerate(models)
        if model.files  # others are made of those that are listed
    ]
    forms = {step.name: step.form for step in plan.steps}
    return {
        "alnico_merge": VERSION,
        "method": None if first is None or first.method is None else first.method.name,
        "parameters": {} if first is None else _plain(first.parameters),
        "described": describe(plan),
        "recipe": recipe,
        "seed": plan.seed,
        "plugin": None if plugin is None else {"path": str(plugin), "sha256": sha256_of(plugin)},
        "models": described,
        "base": None if plan.base is None else described[plan.base]["path"],
        "tensors": fates(plan),
        "said": list(plan.said),
        "output": {
            "path": str(sink.place),
            "content": digest_model(forms, dict(sink.done)),
            **_files(sink.files, sha256=sha256),
        },
        "versions": _versions(),
    }


def _plugin(step: Step | None) -> Path | None:
    return file_of(step.method) if step is not None and isinstance(step.method, Method) else None


def _describe(model: Checkpoint, known: Mapping[str, str], sha256: bool) -> dict[str, object]:
    forms = forms_of(model)
    digests = {
        name: known.get(name) or digest_stored(name, f, model.read) for name, f in forms.items()
    }
    return {
        "path": str(model.path),
        "revision": model.revision,
        "content": digest_model(forms, digests),
        **_files(model.files, sha256=sha256),
    }


def _files(files: Sequence[Path], *, sha256: bool) -> dict[str, object]:
    n_bytes = sum(path.stat().st_size for path in files)
    is_hashed = sha256 or n_bytes <= SMALL
    return {
        "bytes": n_bytes,
        "sha256": {path.name: sha256_of(path) for path in files} if is_hashed else {},
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in ("alnico", "numpy", "numba", "torch", "safetensors"):
        try:
            found[package] = version(package).split("+")[0]
        except PackageNotFoundError:
            continue
    return found


def _plain(parameters: Mapping[str, Value]) -> dict[str, object]:
    return {name: plain(value) for name, value in parameters.items()}


def _short(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(_short, value))
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 9999:
        return spaced(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
