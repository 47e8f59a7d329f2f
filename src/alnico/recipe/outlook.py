"""What one merge will do, from headers alone: what becomes of which tensors, and at what cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from alnico.checkpoint.names import find_layers, vocabulary_axes
from alnico.merging.execute import How
from alnico.merging.record import describe
from alnico.merging.steps import Form, Forms, Input, Plan, Step
from alnico.recipe.jobs import Job
from alnico.recipe.needs import Needs, bytes_of, needs_of

if TYPE_CHECKING:
    from alnico.merging.vocabulary import Vocabulary
    from alnico.recipe.mergekit.models import Opened

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
"""Files that a tokenizer can be read from."""

_NEITHER = {
    "equal": "integers, alike in all models",
    "largest": "counters, the largest of all models",
}


@dataclass(frozen=True)
class Fate:
    """What becomes of some tensors.

    Args:
        what: `merge`, `copy`, `equal`, `largest` or `drop`.
        how: The method and its parameters, where they are copied from, or why they are dropped.
        tensors: How many.
        entries: How many values they have.
        read: Bytes that they are made of.
        written: Bytes that they take in the output.
    """

    what: str
    how: str
    tensors: int
    entries: int
    read: int
    written: int


@dataclass(frozen=True)
class Outlook:
    """What one merge will do.

    Args:
        name: The result, where there are several; None for the last.
        models: The path of each model.
        fates: What becomes of tensors.
        layers: What stands before the layer's number in a name -> how many layers.
        modules: Part of the model -> how many tensors it has.
        vocabulary: Tensor of the first model that is indexed by tokens -> along which axis.
        tokenizer: Where it comes from, in words.
        config: Key -> what the config says otherwise than that of its donor.
        needs: What it takes.
        said: What the user should know, a line each.
    """

    name: str | None
    models: tuple[str, ...]
    fates: tuple[Fate, ...]
    layers: Mapping[str, int]
    modules: Mapping[str, int]
    vocabulary: Mapping[str, int]
    tokenizer: str
    config: Mapping[str, object]
    needs: Needs
    said: tuple[str, ...]


def look(job: Job, models: Sequence[Opened], how: How, *, name: str | None = None) -> Outlook:
    """Say what a job will do.

    Args:
        job: The job.
        models: Of its plan.
        how: On how many threads, on which device.
        name: Of its result.
    """
    forms = [_forms(model) for model in models]
    shapes = {name: form.shape for name, form in forms[0].items()}
    layers = find_layers(shapes)
    return Outlook(
        name,
        job.plan.models[: len(job.places)],
        tuple(_fates(job.plan, forms)),
        {prefix: stack.count for prefix, stack in layers.stacks.items()},
        {module: len(names) for module, names in layers.modules.items()},
        vocabulary_axes(shapes, models[0].config),
        _tokenizer(job, models[job.donor]),
        {".".join(path): value for path, value in job.config_changes.items()},
        needs_of(job.plan, forms, how),
        job.plan.said,
    )


def _forms(model: Opened) -> Forms:
    return {name: Form(entry.dtype, entry.shape) for name, entry in model.tensors.items()}


def _fates(plan: Plan, models: Sequence[Forms]) -> list[Fate]:
    """One for each method, each model that is copied from, and each reason to drop."""
    groups: dict[tuple[str, str], list[Step]] = {}
    for step in plan.steps:
        called = "" if step.method is None else step.method.name
        source = plan.models[step.inputs[0].model] if step.rule == "copy" else called
        groups.setdefault((step.rule, source), []).append(step)
    found = [_fate(plan, rule, source, steps, models) for (rule, source), steps in groups.items()]
    dropped: dict[str, list[Input]] = {}
    for each in plan.dropped:
        dropped.setdefault(each.reason, []).append(each.input)
    return found + [
        Fate("drop", reason, len(inputs), _entries(inputs, models), 0, 0)
        for reason, inputs in dropped.items()
    ]


def _fate(
    plan: Plan, rule: str, source: str, steps: Sequence[Step], models: Sequence[Forms]
) -> Fate:
    read = {each for step in steps for each in step.reads}
    return Fate(
        rule,
        _NEITHER.get(rule)
        or (f"from {source}" if rule == "copy" else describe(replace(plan, steps=tuple(steps)))),
        len(steps),
        sum(step.form.n_entries for step in steps),
        bytes_of(read, models),
        sum(step.form.n_bytes for step in steps),
    )


def _entries(inputs: Sequence[Input], models: Sequence[Forms]) -> int:
    return sum(models[each.model][each.name].n_entries for each in inputs)


def _tokenizer(job: Job, donor: Opened) -> str:
    labels = job.plan.models
    if job.wanted is not None and job.wanted.asked.kind is not None:
        start = job.donor if job.wanted.base is None else job.wanted.base
        return _asked_tokenizer(job.wanted.asked, labels[start])
    folder = donor.folder
    has = folder is not None and any((folder / file).is_file() for file in TOKENIZERS)
    template = " with another chat template" if job.wanted is not None else ""
    return f"that of {labels[job.donor]}{template}" if has else "none"


def _asked_tokenizer(asked: Vocabulary, base: str) -> str:
    source = {"union": "the union of all models'", "base": f"that of {base}"}
    found = source.get(str(asked.kind), f"that of {asked.model}")
    n_rules = len(asked.tokens)
    rules = f", {n_rules} tokens by rules of their own" if n_rules else ""
    padding = asked.pad_to_multiple_of
    padded = f", padded to a multiple of {padding}" if padding else ""
    return f"{found}{rules}{padded}"
