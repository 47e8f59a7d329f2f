"""Alnico's own recipes: from a file to what it says, and from that and the models to a plan."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from alnico.checkpoint.names import Layers, find_layers, vocabulary_axes
from alnico.merging.alike import Choice, Keep, Merge, plan_alike
from alnico.merging.steps import Form, Forms, Plan
from alnico.methods import methods
from alnico.methods._parameter import Value
from alnico.recipe.faults import Faults, shown
from alnico.recipe.parts import BASE, DTYPES, Gradient, MergeStep, Recipe, Rule, Setting
from alnico.recipe.schema import check_recipe
from alnico.recipe.yaml_text import read_yaml
from alnico.registry import closest

if TYPE_CHECKING:
    from alnico.checkpoint.opened import Checkpoint

_NUMBER = re.compile(r"(?<![^.])[0-9]+(?![^.])")


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe of alnico's own; no model is opened, but each must be there.

    Args:
        path: Its file; relative paths in it start at its folder.

    Raises:
        DataError: If there is no such file.
        RecipeError: With every fault that can be known without opening a model.
        UnsafeFileError: If it is no plain file, asks for code to be run, or grows without bound.
    """
    path = Path(path)
    return check_recipe(read_yaml(path), path)


def plan_recipe(
    recipe: Recipe, models: Sequence[Checkpoint], base: Checkpoint | None = None
) -> Plan:
    """Turn a recipe into what is done for each tensor.

    Args:
        recipe: The recipe.
        models: Its `sources`, opened, in their order.
        base: Its base, opened.

    Raises:
        RecipeError: If a rule matches no tensor, or a value changes over layers and there are none.
        IncompatibleModelsError: If the models, or the base, do not fit together.
    """
    step = recipe.merge
    opened = dict(zip(step.models, models, strict=True))
    if base is not None:
        opened[BASE] = base
    forms = {name: _forms(model) for name, model in opened.items()}
    tensors = dict.fromkeys(name for found in forms.values() for name in found)
    chooser = _Chooser(step, forms[step.models[0]])
    _check(recipe, chooser, list(tensors))
    plan = plan_alike(
        [(name, forms[name]) for name in step.models],
        chooser.choose,
        base=None if base is None else (BASE, forms[BASE]),
        dtype=None if recipe.dtype is None else DTYPES[recipe.dtype],
        seed=recipe.seed,
        tokens=token_axes(models[0]),
        join_tokens=recipe.tokenizer is not None and recipe.tokenizer.kind is not None,
    )
    return replace(plan, models=tuple(str(opened[name].path) for name in plan.models))


def token_axes(model: Checkpoint) -> dict[str, int]:
    """The tensors of a model that are indexed by tokens, and along which axis."""
    shapes = {name: entry.shape for name, entry in model.tensors.items()}
    return vocabulary_axes(shapes, model.config)


def _forms(model: Checkpoint) -> Forms:
    return {name: Form(entry.dtype, entry.shape) for name, entry in model.tensors.items()}


class _Chooser:
    """What a merge step says of each tensor."""

    def __init__(self, step: MergeStep, forms: Forms) -> None:
        self.step = step
        self.method = methods[step.method]
        self.forms = forms
        self.rules = [(rule, _matcher(rule)) for rule in step.where]
        self.places = {name: i for i, name in enumerate([*step.models, BASE])}

    @cached_property
    def layers(self) -> Layers:
        """The layers of the models; they are looked for only where a value changes over them."""
        return find_layers({name: form.shape for name, form in self.forms.items()})

    def choose(self, tensor: str) -> Choice:
        """What becomes of one tensor: later rules win over earlier ones, and all over the step."""
        settings, keep = dict(self.step.parameters), None
        for rule, matches in self.rules:
            if matches(tensor):
                settings |= rule.parameters
                keep = rule.keep
        if keep is not None:
            return Keep(self.places[keep])
        given = {name: self._value(setting, tensor) for name, setting in settings.items()}
        return Merge(self.method, self.method.check(len(self.step.models), given))

    def _value(self, setting: Setting, tensor: str) -> Value:
        if isinstance(setting, tuple):
            return [self._number(one, tensor) for one in setting]
        return self._number(setting, tensor) if isinstance(setting, Gradient) else setting

    def _number(self, setting: float | Gradient, tensor: str) -> float:
        return setting.at(self._depth(tensor)) if isinstance(setting, Gradient) else setting

    def _depth(self, tensor: str) -> float:
        """Where a tensor is between the first layer of its stack, 0, and the last, 1."""
        place = self.layers.places.get(tensor)
        if place is None:
            return 0.0 if tensor in self.layers.before else 1.0
        return place.number / max(self.layers.stacks[place.prefix].count - 1, 1)


def _matcher(rule: Rule) -> Callable[[str], object]:
    return re.compile(fnmatch.translate(rule.match)).match


def _check(recipe: Recipe, chooser: _Chooser, tensors: Sequence[str]) -> None:
    """Refuse rules and gradients that have nothing to act on."""
    faults = Faults(recipe.path)
    for rule, matches in chooser.rules:
        if not any(map(matches, tensors)):
            text = f"match: no tensor is called {shown(rule.match)}"
            faults.add(rule.line, text, _near(rule.match, tensors))
    step = recipe.merge
    for line, parameters in [
        (step.line, step.parameters),
        *((r.line, r.parameters) for r in step.where),
    ]:
        for name in _changing(parameters):
            if not chooser.layers.stacks:
                text = f"{name} changes over layers, and no layers are to be seen in the names"
                faults.add(line, text, "give one number, or rules for parts")
    faults.check()


def _changing(parameters: Mapping[str, Setting]) -> list[str]:
    """The parameters that have a gradient."""
    return [
        name
        for name, setting in parameters.items()
        for one in (setting if isinstance(setting, tuple) else [setting])
        if isinstance(one, Gradient)
    ]


def _near(match: str, tensors: Sequence[str]) -> str | None:
    """A pattern that matches and is like the one that does not."""
    kinds = dict.fromkeys(_NUMBER.sub("*", name) for name in tensors)
    known = dict(kinds)
    for kind in kinds:
        parts = kind.split(".")
        known |= dict.fromkeys(".".join([*parts[:n], "*"]) for n in range(1, len(parts)))
    near = closest(_NUMBER.sub("*", match), known)
    return f"did you mean {near!r}?" if near else f"a tensor is called {next(iter(tensors), '')!r}"
