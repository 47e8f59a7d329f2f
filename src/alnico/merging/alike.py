"""A plan for models of one architecture: each tensor of the output is made of its namesakes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from alnico.errors import IncompatibleModelsError, RecipeError
from alnico.merging.steps import Form, Forms, Input, Plan, Step
from alnico.methods import Method, methods
from alnico.methods._method import Value

SHOWN = 6
"""How many tensors a message names."""

WAYS_OUT = """\
merging needs one architecture and equal widths
keep both   alnico.fuse([a, b], "average")
teach one   alnico.distill(teacher, student, data=...)"""

JOIN = """\
their embeddings can be merged token by token, with one tokenizer for all:
in a command   --tokenizer union
in a recipe    tokenizer: union"""

COUNTER = "num_batches_tracked"
"""How often BatchNorm has seen a batch: differs between models that are otherwise alike."""


@dataclass(frozen=True)
class Merge:
    """A tensor is merged by a method.

    Args:
        method: How; integer tensors are copied, and must be equal in all models.
        parameters: Of the method.
    """

    method: Method
    parameters: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Keep:
    """A tensor is copied from one model; its number, as many as there are models for the base."""

    model: int


Choice: TypeAlias = Merge | Keep


def plan_alike(
    models: Sequence[tuple[str, Forms]],
    choose: Callable[[str], Choice],
    *,
    base: tuple[str, Forms] | None = None,
    dtype: str | None = None,
    seed: int = 0,
    tokens: Mapping[str, int] | None = None,
    join_tokens: bool = False,
) -> Plan:
    """Plan a merge of models that have the same tensors.

    Args:
        models: What messages call each, and its tensors.
        choose: What becomes of a tensor, by its name.
        base: The model that all came from; in the plan it is the last.
        dtype: Of the output's floating-point tensors; None keeps what the models have.
        seed: Of methods that draw random numbers.
        tokens: The tensors that are indexed by tokens, and along which axis.
        join_tokens: Whether the models may differ in their lengths there, since the plan is to be
            given a vocabulary: see `vocabulary.prepare`.

    Raises:
        RecipeError: If there are no models, or a base is missing.
        IncompatibleModelsError: If they differ in names or shapes, or in dtypes and none is asked
            for.
    """
    check_number(len(models))
    everything = [*models, *([] if base is None else [base])]
    check_forms(everything, same_dtypes=dtype is None, tokens=tokens, join_tokens=join_tokens)
    steps = []
    for name, form in models[0][1].items():
        choice = choose(name)
        if isinstance(choice, Merge):
            check_base(choice.method, has_base=base is not None)
        steps.append(_step(name, form, choice, len(models), base is not None, dtype))
    labels = tuple(label for label, _ in everything)
    root = None if base is None else len(models)
    return Plan(labels, tuple(steps), seed=seed, base=root)


def merge_by(
    method: str | Method, parameters: Mapping[str, Value], *, n_models: int, has_base: bool
) -> Merge:
    """A merge by one method, which fits the models.

    Args:
        method: A merge method, or its name.
        parameters: Of the method.
        n_models: How many models there are, besides the base.
        has_base: Whether there is a base.

    Raises:
        UnknownNameError: If there is no such method.
        RecipeError: If there are no models, a parameter is wrong, or a base is missing or of no
            use.
    """
    chosen = methods[method] if isinstance(method, str) else method
    check_number(n_models)
    merge = Merge(chosen, chosen.check(n_models, dict(parameters)))
    check_base(chosen, has_base=has_base)
    if has_base and not chosen.takes_base:
        raise RecipeError(f"{chosen.name} has no use for a base", help="leave it out")
    return merge


def check_number(n_models: int) -> None:
    """See that there are models.

    Raises:
        RecipeError: If there are none.
    """
    if not n_models:
        raise RecipeError("there are no models to merge", help="give at least one")


def check_base(method: Method, *, has_base: bool) -> None:
    """See that there is a base if the method needs one.

    Raises:
        RecipeError: If there is none.
    """
    if method.needs_base and not has_base:
        raise RecipeError(
            f"{method.name} merges changes from a base, and there is none",
            help="give the model that all came from as base",
        )


def is_counter(name: str) -> bool:
    """Whether a tensor is BatchNorm's counter of batches."""
    return name.rpartition(".")[2] == COUNTER


def _step(
    name: str, form: Form, choice: Choice, n_models: int, has_base: bool, dtype: str | None
) -> Step:
    made = Form(dtype, form.shape) if dtype is not None and form.has_mean else form
    if isinstance(choice, Keep):
        return Step(name, made, "copy", (Input(choice.model, name),))
    inputs = tuple(Input(model, name) for model in range(n_models))
    root = Input(n_models, name) if has_base else None
    if not form.has_mean:
        everything = inputs if root is None else (*inputs, root)
        return Step(name, made, "largest" if is_counter(name) else "equal", everything)
    own_base = root if choice.method.takes_base else None
    return Step(name, made, "merge", inputs, own_base, choice.method, choice.parameters)


def some(texts: Sequence[str], *, between: str = ", ") -> str:
    """The first few texts, and how many more there are."""
    more = len(texts) - SHOWN
    return between.join([*texts[:SHOWN], *([f"... {more} more"] if more > 0 else [])])


def check_forms(
    models: Sequence[tuple[str, Forms]],
    *,
    same_dtypes: bool = True,
    tokens: Mapping[str, int] | None = None,
    join_tokens: bool = False,
) -> None:
    """Refuse models that differ from the first, with every fault of each.

    Args:
        models: What messages call each, and its tensors.
        same_dtypes: Whether floating-point tensors must have one dtype.
        tokens: The tensors that are indexed by tokens, and along which axis.
        join_tokens: Whether they may differ in their lengths there.

    Raises:
        IncompatibleModelsError: If they do.
    """
    first, *others = models
    axes = tokens or {}
    unlike = [fault for other in others for fault in _unlike_names(first, other)]
    counts: list[str] = []
    for other in others:
        differing = _differing_shapes(first, other)
        rest = {
            name: shapes
            for name, shapes in differing.items()
            if not _is_of_tokens(*shapes, axes.get(name))
        }
        if join_tokens or rest:
            unlike += _difference("shape", rest if join_tokens else differing, first, other)
        else:
            counts += _difference_of_tokens(first[0], other[0], differing, axes)
    dtypes = [fault for other in others for fault in _unlike_dtypes(first, other, same_dtypes)]
    if unlike or counts or dtypes:
        ways = WAYS_OUT if unlike else JOIN if counts else "ask for one dtype, e.g. dtype='float32'"
        raise IncompatibleModelsError("\n".join([*unlike, *counts, *dtypes]), help=ways)


def _unlike_names(first: tuple[str, Forms], other: tuple[str, Forms]) -> list[str]:
    faults = []
    for (here, mine), (there, theirs) in ((first, other), (other, first)):
        only = [name for name in mine if name not in theirs]
        if only:
            faults.append(f"only {here} has {some(only)}; {there} has not")
    return faults


def _differing_shapes(
    first: tuple[str, Forms], other: tuple[str, Forms]
) -> dict[str, tuple[list[int], list[int]]]:
    return {
        name: (list(form.shape), list(other[1][name].shape))
        for name, form in first[1].items()
        if name in other[1] and form.shape != other[1][name].shape
    }


def _is_of_tokens(mine: list[int], theirs: list[int], axis: int | None) -> bool:
    """Whether two shapes differ in the number of tokens alone."""
    if axis is None or len(mine) != len(theirs):
        return False
    return mine[:axis] + mine[axis + 1 :] == theirs[:axis] + theirs[axis + 1 :]


def _difference_of_tokens(
    here: str,
    there: str,
    differing: Mapping[str, tuple[list[int], list[int]]],
    axes: Mapping[str, int],
) -> list[str]:
    if not differing:
        return []
    pairs = [(a[axes[name]], b[axes[name]]) for name, (a, b) in differing.items()]
    sizes = ", ".join(f"{a} and {b}" for a, b in dict.fromkeys(pairs))
    n = len(pairs)
    return [
        f"{here} and {there} have vocabularies of different size: {sizes} tokens "
        f"({n} tensor{'s' * (n != 1)})"
    ]


def _unlike_dtypes(
    first: tuple[str, Forms], other: tuple[str, Forms], same_dtypes: bool
) -> list[str]:
    """Floats of several dtypes can be merged into one that is asked for; nothing else can."""
    dtypes = {
        name: (form.dtype_name, other[1][name].dtype_name)
        for name, form in first[1].items()
        if name in other[1]
        and form.dtype != other[1][name].dtype
        and (same_dtypes or not (form.has_mean and other[1][name].has_mean))
    }
    return _difference("dtype", dtypes, first, other)


def _difference(
    what: str,
    differing: Mapping[str, tuple[object, object]],
    first: tuple[str, Forms],
    other: tuple[str, Forms],
) -> list[str]:
    if not differing:
        return []
    here, there = first[0], other[0]
    names = max(map(len, list(differing)[:SHOWN]))
    lines = [
        f"  {name:<{names}}    {here} {a}    {there} {b}" for name, (a, b) in differing.items()
    ]
    title = (
        f"{here} and {there} differ in the {what} of {len(differing)} of {len(first[1])} tensors"
    )
    shown = some(lines, between="\n").replace("\n... ", "\n  ... ")
    return [f"{title}\n{shown}"]
