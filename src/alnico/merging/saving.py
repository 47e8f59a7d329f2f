"""A plan carried out into files: checked before, whole or not at all, with its record beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from alnico.checkpoint.apart import check_apart
from alnico.checkpoint.card import write_card
from alnico.checkpoint.files import writing
from alnico.checkpoint.model_config import with_changes, write_config
from alnico.checkpoint.output import check_output, new_model
from alnico.checkpoint.quantized import strip_quantization
from alnico.checkpoint.shards import Out
from alnico.checkpoint.side_files import copy_side_files
from alnico.errors import OutputError
from alnico.merging.execute import How, execute
from alnico.merging.plugin import file_of
from alnico.merging.record import describe, make_record
from alnico.merging.steps import Plan
from alnico.methods import Method
from alnico.progress import note, phase, spaced, warn

if TYPE_CHECKING:
    from alnico.checkpoint.opened import Checkpoint
    from alnico.checkpoint.sink import Sink

RECORD = "run.json"


@dataclass(frozen=True)
class Order:
    """How a merged model is written.

    Args:
        recipe: The recipe in YAML, for the record and the card.
        donor: Which of the plan's models gives the config, the tokenizer and other files.
        config_changes: What the config says otherwise, by the keys on the way to it.
        metadata: Notes in the files of weights; None says that they are of torch.
        shard_bytes: How large a file of a folder may be; None is 5 GB.
        force: Whether an output that is there may be replaced; an input never is.
        resume: Whether to go on with what an interrupted merge left.
        sha256: Whether large files are hashed with SHA-256, too.
        key: What the result is made of beside the plan and its models, as a digest.
        how: On how many threads, on which device.
        skip: Side files that are not copied.
        add_files: Called with the new folder, to write more side files.
    """

    recipe: str = ""
    donor: int = 0
    config_changes: Mapping[tuple[str, ...], object] = field(default_factory=dict)
    metadata: Mapping[str, str] | None = None
    shard_bytes: int | None = None
    force: bool = False
    resume: bool = False
    sha256: bool = False
    key: str = ""
    how: How = field(default_factory=How)
    skip: tuple[str, ...] = ()
    add_files: Callable[[Path], None] | None = None


def write_plan(
    plan: Plan, models: Sequence[Checkpoint], place: Path, order: Order
) -> dict[str, object]:
    """Merge models on disk into a new one on disk.

    Args:
        plan: What to do.
        models: The plan's models, opened.
        place: A `.safetensors` file, or a folder.
        order: How it is written.

    Returns:
        The record; it lies in `run.json` in the folder, or at `NAME.run.json` beside a file.

    Raises:
        OutputError: If the output is an input, is there already or cannot be written.
        AlnicoError: As `execute` does.
    """
    check_place(place, models, force=order.force)
    check_disk(place, plan)
    for line in plan.said:
        note("plan", line)
    _warn_of_kinds(models, models[order.donor])
    outs = [Out(step.name, step.form.dtype, step.form.shape) for step in plan.steps]
    with new_model(
        place,
        outs,
        key=key_of(plan, models, order),
        shard_bytes=order.shard_bytes,
        metadata=order.metadata,
        force=order.force,
        resume=order.resume,
    ) as sink:
        with phase("merge", describe(plan), total=len(plan.steps)) as work:
            digests = execute(plan, models, sink, order.how, work)
        with phase("write", str(place)) as work:
            for model in models:
                model.check_unchanged()
            record = make_record(
                plan, models, sink, digests, recipe=order.recipe, sha256=order.sha256
            )
            _write_side_files(plan, models, sink, order, record)
            text = json.dumps(record, indent=1, allow_nan=False) + "\n"
            with writing(place):
                (sink.folder / RECORD).write_text(text, "utf-8")
            work.say(_written(place, record))
    return record


def check_place(place: Path, models: Sequence[Checkpoint], *, force: bool) -> None:
    """See that an output can be written, and is no input.

    Raises:
        OutputError: If not.
    """
    inputs = [path for model in models for path in model.files]
    inputs += [model.folder for model in models if model.folder is not None]
    check_apart(place, inputs)
    check_output(place, force=force)


def check_disk(place: Path, plan: Plan) -> None:
    """See that there is room for what a plan makes.

    Raises:
        OutputError: If there is not.
    """
    needed = sum(step.form.n_bytes for step in plan.steps)
    free = shutil.disk_usage(place.absolute().parent).free
    if needed > free:
        raise OutputError(
            f"{place} needs {spaced(needed)} bytes, and {spaced(free)} are free",
            help="free some space, or choose another -o",
        )


def key_of(plan: Plan, models: Sequence[Checkpoint], order: Order) -> str:
    """What a merge is made of, as a digest: another plan, input or plug-in is another merge.

    Args:
        plan: What is done.
        models: The plan's models, opened.
        order: How the result is written.

    Raises:
        DataError: If a model was changed since it was opened.
    """
    found = xxhash.xxh3_128()
    for step in plan.steps:
        method = getattr(step.method, "name", None)
        found.update(
            repr((step.name, step.form, step.rule, step.inputs, step.base, method)).encode()
        )
        found.update(repr((sorted(step.parameters.items()), step.work_dtype)).encode())
    used = {id(step.method): step.method for step in plan.steps}.values()
    for plugin in [file_of(method) for method in used if isinstance(method, Method)]:
        if plugin is not None:
            found.update(plugin.read_bytes())
    for model in models:
        model.check_unchanged()
        found.update(repr(str(model.path)).encode())  # which part of its files it is, too
        for path in model.files:
            seen = path.stat()
            found.update(repr((str(path), seen.st_size, seen.st_mtime_ns)).encode())
    found.update(repr((plan.seed, order.shard_bytes, order.how.device, order.key)).encode())
    return found.hexdigest()


def _write_side_files(
    plan: Plan,
    models: Sequence[Checkpoint],
    sink: Sink,
    order: Order,
    record: Mapping[str, Any],
) -> None:
    if sink.place.suffix == ".safetensors":
        return
    donor = models[order.donor]
    if donor.folder is not None:
        copy_side_files(donor.folder, sink.folder, skip=("config.json", *order.skip))
    if donor.config is not None:
        config = with_changes(strip_quantization(donor.config), order.config_changes)
        write_config(sink.folder, config, _dtype(plan))
    if order.add_files is not None:
        order.add_files(sink.folder)
    parents = [
        {**one, "files": one["sha256"] or {"all weights": one["content"]}}
        for one in record["models"]
    ]
    write_card(
        sink.folder,
        title=sink.place.name,
        method=describe(plan),
        recipe_yaml=order.recipe,
        models=[one for i, one in enumerate(parents) if i != plan.base],
        base=None if plan.base is None else parents[plan.base],
        seed=plan.seed,
        versions=record["versions"],
        notes=plan.said,
    )


def _warn_of_kinds(models: Sequence[Checkpoint], donor: Checkpoint) -> None:
    """Say which models call themselves another kind than the one whose config is taken."""
    kind = (donor.config or {}).get("model_type")
    for model in models:
        other = (model.config or {}).get("model_type")
        if kind is not None and other not in (None, kind):
            warn(
                f"{model.path} calls itself {other!r}, and {donor.path} {kind!r}: "
                f"the config is that of {donor.path}",
                help="see that both compute alike",
            )


def _dtype(plan: Plan) -> str:
    """The dtype that most of the output's bytes have."""
    n_bytes: dict[str, int] = {}
    for step in plan.steps:
        if step.form.has_mean:
            n_bytes[step.form.dtype] = n_bytes.get(step.form.dtype, 0) + step.form.n_bytes
    return max(n_bytes, key=lambda dtype: n_bytes[dtype]) if n_bytes else "F32"


def _written(place: Path, record: Mapping[str, Any]) -> str:
    output = record["output"]
    digest = next(iter(output["sha256"].values()), None)
    said = output["content"] if digest is None else f"sha256 {digest}"
    return f"{place}  {spaced(output['bytes'])} bytes  {said[:17] if digest else said[:18]}"
