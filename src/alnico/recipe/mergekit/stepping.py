"""From a target to a step: which rule, which method, with which parameters, into which form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from alnico.errors import RecipeError
from alnico.merging.alike import COUNTER
from alnico.merging.steps import Exact, Form, Input, Rule, Step
from alnico.methods import Method, methods
from alnico.methods._method import Value
from alnico.recipe.mergekit.dtypes import HALVES, SINGLE, promote
from alnico.recipe.mergekit.layout import Target
from alnico.recipe.mergekit.mismatches import Mismatches
from alnico.recipe.mergekit.models import Model
from alnico.recipe.mergekit.schema import MergekitRecipe, Parameters, Reference
from alnico.recipe.mergekit.settings import resolve
from alnico.recipe.mergekit.table import CONTRACTS, REQUIRED, Parameter
from alnico.recipe.mergekit.translate import translate


@dataclass(frozen=True)
class Source:
    """One model's part in one tensor.

    Args:
        input: The tensor there.
        form: What it is there.
        parameters: That the recipe has for this model alone.
        is_base: Whether it is what changes are taken from.
    """

    input: Input
    form: Form
    parameters: Parameters
    is_base: bool


class Stepper:
    """Makes steps of one recipe.

    Args:
        recipe: What is asked.
        models: All of its models, in the order of the plan.
        exact: mergekit's own arithmetic by method, or None for this house's methods.
    """

    def __init__(
        self,
        recipe: MergekitRecipe,
        models: Mapping[Reference, Model],
        exact: Mapping[str, Exact] | None,
    ) -> None:
        self.recipe = recipe
        self.models = models
        self.exact = exact
        self.contract = CONTRACTS[recipe.method]
        self.mismatches = Mismatches()
        self._listed = list(models.values())
        self._numbers = {reference: i for i, reference in enumerate(models)}
        self._checked: set[str] = set()

    def step(self, target: Target) -> Step | None:
        """The step that makes a target; None if something is wrong with it, which is noted."""
        found = self._sources(target)
        if found is None or not self._agree(target, found):
            return None
        if not found[0].form.has_mean:
            rule: Rule = "largest" if target.name.endswith(COUNTER) else "equal"
            inputs = tuple(dict.fromkeys(source.input for source in found))
            return Step(target.name, found[0].form, rule, inputs)
        work = self.recipe.dtype or promote(source.form.dtype for source in found)
        form = Form(self.recipe.out_dtype or work, found[0].form.shape)
        merged = [source for source in found if not source.is_base]
        alone = self._alone(target, found, merged)
        if alone is not None:
            return self._copy(target.name, form, alone, work)
        if self.exact is not None and self.contract.name in SINGLE and work in HALVES:
            form = Form(self.recipe.out_dtype or "F32", form.shape)
        return self._merge(target, found, form, work)

    def _sources(self, target: Target) -> list[Source] | None:
        """Those that have the tensor; None if that is not enough."""
        found, lacking = [], []
        base = None if self.contract.base == "ignored" else target.part.base
        for source, name in zip(target.part.sources, target.origins, strict=False):
            model = self.models[source.model]
            held = model.holds(name)
            if held is None:
                lacking.append(model.label)
                continue
            input = Input(self._numbers[source.model], held)
            is_base = source.model == base
            found.append(Source(input, model.forms[held], source.parameters, is_base))
        lone = self.contract.lone
        one = len(found) == 1 and (lone == "one" or found[0].is_base)
        with_base = lone == "base" and any(source.is_base for source in found)
        allowed = lone != "never" and (one or (with_base and self.contract.name == "model_stock"))
        if lacking and not allowed:
            self.mismatches.absent[target.name] = lacking
            return None
        return found

    def _agree(self, target: Target, found: Sequence[Source]) -> bool:
        """Whether all have one shape, and integers one dtype, but for a vocabulary to be joined."""
        forms = {self._label(source): source.form for source in found}
        first = found[0].form
        floats = {form.has_mean for form in forms.values()}
        dtypes = {form.dtype for form in forms.values()}
        if len(floats) > 1 or (not first.has_mean and len(dtypes) > 1):
            self.mismatches.unlike[target.name] = forms
            return False
        if all(form.shape == first.shape for form in forms.values()):
            return True
        axis = self._listed[found[0].input.model].vocabulary.get(found[0].input.name)
        if axis is None or len({_without(form.shape, axis) for form in forms.values()}) > 1:
            self.mismatches.unlike[target.name] = forms
            return False
        if self.recipe.tokenizer is not None and self.recipe.tokenizer.source is not None:
            return True
        self.mismatches.vocabulary[target.name] = forms
        return False

    def _alone(
        self, target: Target, found: Sequence[Source], merged: Sequence[Source]
    ) -> Source | None:
        """The one whose tensor the result has, where there is nothing to be merged."""
        name = self.contract.name
        if len(found) == 1 and (found[0].is_base or self.contract.lone == "one"):
            return found[0]
        if name == "model_stock" and len(merged) < 2:
            return next(source for source in found if source.is_base)
        if name == "multislerp" and len(merged) == 1:
            return merged[0]
        if name == "passthrough":
            scale = self._value(target, self.contract.parameters["scale"], found[0])
            return found[0] if scale is None else None
        return None

    def _copy(self, name: str, form: Form, source: Source, work: str) -> Step:
        if form.dtype == source.form.dtype and (self.exact is None or work == form.dtype):
            return Step(name, form, "copy", (source.input,))
        if self.exact is None:  # a copy keeps its dtype
            method = methods["passthrough"]
            return Step(name, form, "merge", (source.input,), None, method, {"scale": 1.0})
        kit, given = self.exact["passthrough"], {"scale": [1.0]}
        return Step(name, form, "merge", (source.input,), None, kit, given, work)

    def _merge(self, target: Target, found: list[Source], form: Form, work: str) -> Step | None:
        bases = [source for source in found if source.is_base]
        merged = [source for source in found if not source.is_base]
        if self.contract.name == "slerp":  # it goes from one to the other, and merges no changes
            merged, bases = bases + merged, []
        given = self._parameters(target, merged)
        if given is None:
            return None
        inputs = tuple(source.input for source in merged)
        base = bases[0].input if bases else None
        if self.exact is not None:
            method = self.exact[self.contract.name]
            kept = {name: value for name, value in given.items() if value is not None}
            return Step(target.name, form, "merge", inputs, base, method, kept, work)
        ours, parameters = translate(self.contract, given)
        if not self._check(target, ours, parameters, len(merged)):
            return None
        return Step(target.name, form, "merge", inputs, base, ours, parameters)

    def _parameters(
        self, target: Target, merged: Sequence[Source]
    ) -> dict[str, Value | None] | None:
        """All of the method's, in mergekit's words; None if one is missing, which is noted."""
        found: dict[str, Value | None] = {}
        complete = True
        for parameter in self.contract.parameters.values():
            owners: Sequence[Source | None] = [None] if parameter.scope == "shared" else merged
            values = [self._value(target, parameter, owner) for owner in owners]
            if any(value is REQUIRED for value in values):
                complete = False
            elif parameter.scope == "shared":
                found[parameter.name] = values[0]  # type: ignore[assignment]
            else:
                found[parameter.name] = values  # type: ignore[assignment]
        return found if complete else None

    def _value(self, target: Target, parameter: Parameter, owner: Source | None) -> object:
        name = target.name if owner is None else owner.input.name
        value = resolve(parameter, self._levels(target, owner), tensor=name, t=target.t)
        if value is None and parameter.default is REQUIRED:
            key = (parameter.name, "" if owner is None else self._label(owner))
            self.mismatches.unset.setdefault(key, []).append(name)
        return parameter.default if value is None else value

    def _levels(self, target: Target, owner: Source | None) -> Iterable[Parameters]:
        own = [] if owner is None else [owner.parameters]
        return [*own, target.part.parameters, target.module.parameters, self.recipe.parameters]

    def _check(self, target: Target, method: Method, given: dict[str, Value], n: int) -> bool:
        """Whether the method takes the parameters; the same ones are looked at once."""
        key = repr((method.name, n, given))
        if key in self._checked:
            return True
        try:
            method.check(n, given)
            _check_sum(method, given)
        except RecipeError as error:
            hint = "" if error.help is None else f": {error.help}"
            self.mismatches.wrong.setdefault(f"{error.message}{hint}", target.name)
            return False
        self._checked.add(key)
        return True

    def _label(self, source: Source) -> str:
        return self._listed[source.input.model].label


def _check_sum(method: Method, given: Mapping[str, Value]) -> None:
    weights = given.get("weight")
    if method.name != "linear" or not given.get("normalize") or not isinstance(weights, list):
        return
    if abs(sum(weights)) <= 1e-6 * sum(map(abs, weights)):
        raise RecipeError(
            f"linear: the weights sum to 0, got {weights}",
            help="give weights with another sum, or normalize: false",
        )


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]
