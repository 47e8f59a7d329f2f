"""The steps of a plan whose tensors are indexed by tokens, in the vocabulary of the result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import xxhash

from alnico.checkpoint.names import tied
from alnico.checkpoint.opened import Checkpoint
from alnico.merging.steps import Form, Input, Plan, Step
from alnico.merging.vocabulary.choose import Choice, Ruled, choose, find_rows
from alnico.merging.vocabulary.join import Member
from alnico.merging.vocabulary.renumbered import Renumbered
from alnico.merging.vocabulary.rows import Rows, Table


@dataclass(frozen=True)
class Numbering:
    """The vocabulary of a result.

    Args:
        members: The models, those that only give single rows behind those of the plan.
        owner: The one whose tokens keep their numbers.
        base: The one whose rows the others take for tokens that they lack.
        tokens: By number; None where a number has none.
        ruled: The sources of single tokens.
        pad_to_multiple_of: What the number of rows is a multiple of.
        exact: Whether the result must have mergekit's very bits.
    """

    members: Sequence[Member]
    owner: int
    base: int | None
    tokens: Sequence[str | None]
    ruled: Sequence[Ruled] = ()
    pad_to_multiple_of: int | None = None
    exact: bool = False

    @property
    def n_rows(self) -> int:
        """How many embeddings the result has."""
        n, multiple = len(self.tokens), self.pad_to_multiple_of
        if multiple is not None:
            return -(-n // multiple) * multiple
        return n if self.exact else max(n, self.members[self.owner].n_rows)

    def n_rows_of(self, n_own: int) -> int:
        """The length of a tensor that has `n_own` rows in the owner.

        Some models have tensors for the first of their tokens alone; these do not grow.
        """
        whole = n_own >= self.members[self.owner].n_rows
        return self.n_rows if whole else min(n_own, self.n_rows)


@dataclass
class Renumbering:
    """A plan in the vocabulary of a result.

    Args:
        plan: The plan.
        models: What it has more models, which stand for tensors of those that it had.
        sizes: Of each model of the plan: the lengths of tensors, and what becomes of them.
        nowhere: Tokens that no model has a row for.
        key: A digest of where every row comes from.
    """

    plan: Plan
    models: tuple[Renumbered, ...] = ()
    sizes: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    nowhere: tuple[str, ...] = ()
    key: str = ""


def renumber(plan: Plan, numbering: Numbering, axes: Mapping[str, int]) -> Renumbering:
    """Put models into a plan that give their tensors in the vocabulary of the result.

    A tensor that is in it already is left as it is.

    Args:
        plan: The plan.
        numbering: The vocabulary.
        axes: The tensors of the result that are indexed by tokens, and along which axis.
    """
    made: dict[int, dict[str, Rows]] = {}
    sizes: dict[int, dict[int, int]] = {}
    forms: dict[str, Form] = {}
    nowhere: set[int] = set()
    for step in plan.steps:
        if step.name not in axes:
            continue
        tensor = _Tensor(step, axes[step.name], numbering, len(plan.models))
        forms[step.name] = Form(step.form.dtype, tensor.shape(step.form.shape))
        nowhere |= set(tensor.choice.nowhere.tolist())
        for model, n_own in enumerate(tensor.lengths):
            sizes.setdefault(model, {})[n_own] = tensor.n
        for model in {each.model for each in step.reads}:
            rows = tensor.rows(model)
            if rows is not None:
                made.setdefault(model, {})[step.name] = rows
    places = {model: len(plan.models) + i for i, model in enumerate(sorted(made))}
    labels = {model: f"{plan.models[model]} (its tokens renumbered)" for model in places}
    steps = tuple(
        _moved(step, forms[step.name], {m: places[m] for m in places if step.name in made[m]})
        if step.name in forms
        else step
        for step in plan.steps
    )
    models = tuple(
        Renumbered(label, numbering.members[model].checkpoint.metadata, made[model])
        for model, label in labels.items()
    )
    tokens = [numbering.tokens[i] for i in sorted(nowhere) if i < len(numbering.tokens)]
    return Renumbering(
        replace(plan, models=(*plan.models, *labels.values()), steps=steps),
        models,
        sizes,
        tuple(token for token in tokens if token is not None),
        _digest(models),
    )


class _Tensor:
    """One tensor of the result in every model."""

    def __init__(self, step: Step, axis: int, numbering: Numbering, n_merged: int) -> None:
        self.axis, self.exact = axis, numbering.exact
        self.work_dtype = step.work_dtype if self.exact else None
        names = {each.model: each.name for each in step.reads}
        width = math.prod(step.form.shape[axis + 1 :])
        self.tables, self.lengths = [], []
        for i, member in enumerate(numbering.members):
            name = _find(member.checkpoint, names.get(i, step.name))
            shape = () if name is None else member.checkpoint.tensors[name].shape
            is_like = _without(shape, axis) == _without(step.form.shape, axis)
            self.tables.append(Table(member.checkpoint, name or step.name, width))
            self.lengths.append(shape[axis] if is_like else 0)
        self.n = numbering.n_rows_of(self.lengths[numbering.owner] or numbering.n_rows)
        self.choice = self._choose(numbering, n_merged)

    def shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A shape with the length that the result has."""
        return (*shape[: self.axis], self.n, *shape[self.axis + 1 :])

    def rows(self, model: int) -> Rows | None:
        """What the tensor is made of in a model; None if it is as it should be."""
        where, number = self.choice.where[model], self.choice.number[model]
        is_own = self.lengths[model] == self.n and bool(np.all(where == model))
        if is_own and np.array_equal(number, np.arange(self.n)):
            return None
        table = self.tables[model]
        entry = table.checkpoint.tensors[table.name]
        shape = self.shape(entry.shape)
        dtype = self.work_dtype or entry.dtype
        means = self.choice.means
        return Rows(dtype, shape, self.tables, where, number, means, self.exact)

    def _choose(self, numbering: Numbering, n_merged: int) -> Choice:
        members = numbering.members[:n_merged]
        rows = np.stack(
            [
                find_rows(member.tokenizer, numbering.tokens, self.n, n_own)
                for member, n_own in zip(members, self.lengths, strict=False)
            ]
        )
        ruled = [
            rule
            for rule in numbering.ruled
            if rule.member is None or rule.row < self.lengths[rule.member]
        ]
        centred = self.n if numbering.pad_to_multiple_of is None else len(numbering.tokens)
        return choose(rows, ruled, base=numbering.base, centred=min(centred, self.n))


def _find(model: Checkpoint, name: str) -> str | None:
    """What a model calls a tensor, or what holds its values; None if it has neither."""
    if name in model.tensors:
        return name
    shapes = {each: tuple(entry.shape) for each, entry in model.tensors.items()}
    return tied(model.config, shapes).get(name)


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :] if shape else (-1,)


def _moved(step: Step, form: Form, places: Mapping[int, int]) -> Step:
    def moved(each: Input) -> Input:
        return Input(places[each.model], step.name) if each.model in places else each

    root = None if step.base is None else moved(step.base)
    return replace(step, form=form, inputs=tuple(map(moved, step.inputs)), base=root)


def _digest(models: Sequence[Renumbered]) -> str:
    found = xxhash.xxh3_128()
    for model in models:
        for name, rows in model.rows.items():
            sources = [(str(table.checkpoint.path), table.name) for table in rows.tables]
            found.update(repr((model.path, name, rows.shape, sources)).encode())
            for array in (rows.where, rows.number, rows.means):
                found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
