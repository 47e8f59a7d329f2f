"""From a mergekit recipe and the headers of its models to a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alnico.checkpoint.names import find_layers
from alnico.merging.steps import Dropped, Exact, Input, Plan, Step
from alnico.recipe.mergekit.config import KeyPath, changed_config, uncounted
from alnico.recipe.mergekit.layout import Target, lay_out
from alnico.recipe.mergekit.models import Model, Opened, describe
from alnico.recipe.mergekit.modules import divide
from alnico.recipe.mergekit.parse import parse
from alnico.recipe.mergekit.references import locate
from alnico.recipe.mergekit.remarks import copied_modules, remarks
from alnico.recipe.mergekit.schema import MergekitRecipe, Reference, TokenizerBlock
from alnico.recipe.mergekit.stepping import Stepper
from alnico.recipe.yaml_text import read_yaml


@dataclass(frozen=True)
class Planned:
    """A mergekit recipe, ready to be run.

    Args:
        plan: What becomes of each tensor; its models are what was opened.
        tokenizer: What is asked of the tokenizer; None keeps the donor's.
        vocabulary: Tensors of the result that are indexed by tokens, and along which axis: with a
            tokenizer of another size, that axis of theirs and of their inputs is still to be set.
        config_donor: The model whose config, tokenizer and other files are taken.
        config_changes: What the config says otherwise, by the keys on the way to it.
        said: What the user should know, a line each; the plan has the same lines.
    """

    plan: Plan
    tokenizer: TokenizerBlock | None
    vocabulary: Mapping[str, int]
    config_donor: int
    config_changes: Mapping[KeyPath, object]
    said: tuple[str, ...]


def plan_mergekit(
    recipe: str | Path | MergekitRecipe,
    *,
    open_model: Callable[[str], Opened],
    exact: bool = False,
    seed: int = 0,
    strict: bool = False,
    results: Mapping[str, Opened] | None = None,
) -> Planned:
    """Plan a recipe of `mergekit-yaml` or `mergekit-pytorch`; no tensor is read.

    Args:
        recipe: A file of one document, or what was read of it.
        open_model: Opens a model by its path or its name on the hub; the caller closes it.
        exact: Whether the result must have mergekit's very bits.
        seed: Of methods that draw random numbers.
        strict: Whether keys without meaning are faults; for a file alone.
        results: Of earlier recipes of the same file, by name.

    Raises:
        RecipeError: With every fault of the recipe; or if a parameter is missing for a tensor, or
            slices do not fit the models.
        IncompatibleModelsError: If tensors do not fit together.
    """
    if not isinstance(recipe, MergekitRecipe):
        path = Path(recipe)
        recipe = parse(read_yaml(path), path, strict=strict)
    models = _open(recipe, open_model, results or {})
    references = list(models)
    donor = references.index(recipe.base) if recipe.base is not None else 0
    steps, spare = _steps(recipe, models, references[donor], exact=exact)
    owner = models[references[donor]]
    changes = changed_config(recipe, models, owner, (step.name for step in steps))
    places = tuple(model.label for model in models.values())
    found = remarks(recipe, models, steps, exact=exact)
    said = (*recipe.said, *spare, *uncounted(recipe, owner, changes), *found)
    return Planned(
        Plan(places, tuple(steps), _dropped(recipe, models, steps), seed, said, _base(steps)),
        recipe.tokenizer,
        _vocabulary(steps, list(models.values())),
        donor,
        changes,
        said,
    )


def _base(steps: Sequence[Step]) -> int | None:
    """The model whose tensors are taken off the others', if it is one."""
    found = {step.base.model for step in steps if step.base is not None}
    return found.pop() if len(found) == 1 else None


def _open(
    recipe: MergekitRecipe,
    open_model: Callable[[str], Opened],
    results: Mapping[str, Opened],
) -> dict[Reference, Model]:
    """The models of a recipe in its order, and the base behind them if it is merged nowhere."""
    found = {}
    for reference in dict.fromkeys([*recipe.models, *([recipe.base] if recipe.base else [])]):
        name = str(reference)
        place = name if name in results else locate(reference, recipe.path.parent)
        found[reference] = describe(place, results.get(name) or open_model(place))
    return found


def _steps(
    recipe: MergekitRecipe, models: Mapping[Reference, Model], donor: Reference, *, exact: bool
) -> tuple[list[Step], list[str]]:
    """The steps of all modules, and of what is in none."""
    divided = {
        reference: divide(model.forms, list(recipe.modules), label=model.label)
        for reference, model in models.items()
        if reference in recipe.models
    }
    targets: list[Target] = []
    for name, module in recipe.modules.items():
        names = {
            source.model: [n for n, at in divided[source.model].items() if at == name]
            for part in module.slices
            for source in part.sources
        }
        targets += lay_out(module, models, names, exact=exact)
    if all(model.is_file for model in models.values()):  # mergekit-pytorch knows no layers
        targets = [replace(target, t=0.0) for target in targets]
    stepper = Stepper(recipe, models, _exact_methods() if exact else None)
    found = [stepper.step(target) for target in targets]
    stepper.mismatches.check(recipe.method)
    steps = [step for step in found if step is not None]
    owner = donor if donor in divided else next(iter(divided))
    spare = [name for name in models[owner].forms if name not in divided[owner]]
    number = list(models).index(owner)
    steps += [
        Step(name, models[owner].forms[name], "copy", (Input(number, name),)) for name in spare
    ]
    return steps, copied_modules(recipe.modules, spare, models[owner].label)


def _exact_methods() -> Mapping[str, Exact]:
    from alnico.merging.exact import exact  # torch is needed to run them alone

    return exact


def _dropped(
    recipe: MergekitRecipe, models: Mapping[Reference, Model], steps: Sequence[Step]
) -> tuple[Dropped, ...]:
    """The tensors that no step has a use for, and why."""
    used = {input for step in steps for input in step.inputs}
    used |= {step.base for step in steps if step.base is not None}
    is_sliced = any(
        source.layers is not None
        for module in recipe.modules.values()
        for part in module.slices
        for source in part.sources
    )
    found = []
    for number, (reference, model) in enumerate(models.items()):
        is_source = reference in recipe.models
        places = find_layers(model.shapes).places if is_sliced and is_source else {}
        for name in model.forms:
            if Input(number, name) in used:
                continue
            if not is_source:
                reason = "the model gives its config and tokenizer alone"
            elif name in places:
                reason = "its layer is in no slice"
            else:
                reason = "no slice asks for it" if is_sliced else "another model's is taken"
            found.append(Dropped(Input(number, name), reason))
    return tuple(found)


def _vocabulary(steps: Sequence[Step], models: Sequence[Model]) -> dict[str, int]:
    found = {}
    for step in steps:
        first = step.inputs[0]
        axis = models[first.model].vocabulary.get(first.name)
        if axis is not None:
            found[step.name] = axis
    return found
