"""What a user of mergekit should know of a plan: where it differs from mergekit's, a line each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from alnico.merging.steps import Step
from alnico.recipe.mergekit.dtypes import HALVES, SINGLE
from alnico.recipe.mergekit.models import Model
from alnico.recipe.mergekit.schema import MergekitRecipe, Module, Parameters, Reference, Rule
from alnico.recipe.mergekit.settings import find
from alnico.registry import closest

ONCE = ("linear", "slerp")
"""Methods that mergekit, too, computes in float32."""

RANDOM = ("dare_linear", "dare_ties", "della", "della_linear")

SAMPLE = 1_000_000
"""The size of the sample that mergekit takes a larger tensor's quantiles from."""


def remarks(
    recipe: MergekitRecipe, models: Mapping[Reference, Model], steps: Sequence[Step], *, exact: bool
) -> list[str]:
    """The lines that are true of a plan.

    Args:
        recipe: What is asked.
        models: All of the recipe's.
        steps: What is done.
        exact: Whether mergekit's own arithmetic is used.
    """
    names = {step.name for step in steps} | {i.name for step in steps for i in step.inputs}
    found = [*idle_filters(recipe, names), *_donor(recipe, models), *_heads(recipe, exact)]
    found += _gradients(recipe, models)
    merged = [step for step in steps if step.rule == "merge"]
    return [*found, *_arithmetic(recipe, merged, exact)]


def idle_filters(recipe: MergekitRecipe, names: Iterable[str]) -> list[str]:
    """Filters that are a part of no tensor's name, each with what may be meant."""
    known = list(dict.fromkeys(names))
    words = dict.fromkeys(word for name in known for word in name.split(".") if word.isidentifier())
    found: dict[str, None] = {}
    for rule in _rules(recipe):
        if rule.filter is None or any(find([rule], name) for name in known):
            continue
        near = closest(rule.filter, words)
        hint = f": did you mean {near}?" if near else ""
        place = f"{recipe.path}:{rule.line}: " if rule.line else ""
        found.setdefault(f"{place}the filter {rule.filter!r} is in no tensor's name{hint}")
    return list(found)


def _rules(recipe: MergekitRecipe) -> Iterator[Rule]:
    for parameters in _all_parameters(recipe):
        for rules in parameters.values():
            yield from rules


def _all_parameters(recipe: MergekitRecipe) -> Iterator[Parameters]:
    yield recipe.parameters
    for module in recipe.modules.values():
        yield module.parameters
        for part in module.slices:
            yield part.parameters
            yield from (source.parameters for source in part.sources)


def _donor(recipe: MergekitRecipe, models: Mapping[Reference, Model]) -> Iterator[str]:
    if recipe.base is None and len(models) > 1:
        first = next(iter(models.values()))
        yield (
            f"config and tokenizer come from {first.label}, the first model: "
            "without base_model mergekit takes those of any"
        )


def _heads(recipe: MergekitRecipe, exact: bool) -> Iterator[str]:
    for module in recipe.modules.values():
        if len(module.slices[-1].sources) > len(module.slices[0].sources):
            yield (
                "what comes after the layers is made of "
                f"{'only as many' if exact else 'all'} models of the last slice"
                f"{' as the first slice has' if exact else ', not of as many as the first has'}"
            )


def _gradients(recipe: MergekitRecipe, models: Mapping[Reference, Model]) -> Iterator[str]:
    has_gradient = any(isinstance(rule.value, tuple) for rule in _rules(recipe))
    if has_gradient and all(model.is_file for model in models.values()):
        yield "gradients take their first values: files by themselves are merged without layers"


def _arithmetic(recipe: MergekitRecipe, merged: Sequence[Step], exact: bool) -> Iterator[str]:
    method = recipe.method
    halves = [step for step in merged if step.form.dtype in HALVES]
    if halves and method in SINGLE and not exact:
        yield f"the result is {halves[0].form.dtype}: mergekit's {method} writes float32 there"
    if exact and method in SINGLE and recipe.out_dtype is None and not halves and merged:
        yield f"what {method} makes is float32, as mergekit writes it, and config.json says so"
    if exact or not merged:
        return
    if halves and method not in (*ONCE, "passthrough"):
        yield "computed in float32 and rounded once: mergekit rounds at every step to 16 bits"
    if method in RANDOM:
        yield "random numbers are alnico's: --compat mergekit draws mergekit's"
    if method == "arcee_fusion" and any(step.form.n_entries > SAMPLE for step in merged):
        yield "quantiles are those of evenly spaced values: mergekit's are those of random ones"


def copied_modules(modules: Mapping[str, Module], names: Sequence[str], label: str) -> list[str]:
    """What is said of tensors that are in no module of a recipe."""
    if not names:
        return []
    listed = " and ".join(modules)
    return [
        f"{len(names)} tensors outside the modules {listed} are copied from {label}: "
        f"mergekit leaves them out ({names[0]}, ...)"
    ]
