"""Parameters of a merge method as a recipe gives them: one value, or one for each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alnico.errors import RecipeError
from alnico.methods import Method
from alnico.methods._parameter import Parameter
from alnico.recipe.faults import Faults, shown
from alnico.recipe.located import Located
from alnico.recipe.parts import Gradient, Setting
from alnico.recipe.reading import Names, note

ENDS = ("from", "to")
"""The keys of a gradient; no model can be called so."""


def read_settings(
    given: Mapping[str, Located], method: Method, names: Names, faults: Faults
) -> dict[str, Setting]:
    """Check every parameter that a recipe gives.

    Args:
        given: Name -> value, of parameters that the method has.
        method: Whose they are.
        names: The models it merges.
        faults: Where faults are noted.
    """
    known = {parameter.name: parameter for parameter in method.parameters}
    reader = _Reader(method.name, names, faults)
    found = {name: reader.read(known[name], at) for name, at in given.items()}
    return {name: value for name, value in found.items() if value is not None}


class _Reader:
    """Reads the values of one method's parameters; None stands for what was a fault."""

    def __init__(self, method: str, names: Names, faults: Faults) -> None:
        self.method = method
        self.names = names
        self.faults = faults

    def read(self, parameter: Parameter, at: Located) -> Setting | None:
        """One value, or one for each model."""
        if isinstance(at.value, list):
            return self._by_order(parameter, at, at.value)
        if isinstance(at.value, dict) and set(at.value).isdisjoint(ENDS):
            return self._by_name(parameter, at, at.value)
        return self._one(parameter, at)

    def _by_order(self, parameter: Parameter, at: Located, values: list[Located]) -> Setting | None:
        if not self._is_per_model(parameter, at):
            return None
        models = self.names.models
        if models is not None and len(values) != len(models):
            text = f"{parameter.name} has {len(values)} values for {len(models)} models"
            self.faults.add(at.line, text)
        return self._all(parameter, values)

    def _by_name(
        self, parameter: Parameter, at: Located, values: dict[str, Located]
    ) -> Setting | None:
        if not self._is_per_model(parameter, at):
            return None
        known = [
            name
            for name in values
            if self.names.has(name, at.key_lines[name], self.faults, what=parameter.name)
        ]
        names = self.names.models or known
        lacking = [name for name in names if name not in values]
        if lacking and len(known) == len(values):
            hint = f"write {parameter.name} for each model, or one number for all"
            self.faults.add(at.line, f"{parameter.name} of {', '.join(lacking)} is missing", hint)
        return self._all(parameter, [values[name] for name in names if name in values])

    def _all(self, parameter: Parameter, values: Sequence[Located]) -> Setting | None:
        read = [self._one(parameter, value) for value in values]
        numbers = [one for one in read if isinstance(one, int | float | Gradient)]
        return tuple(numbers) if len(numbers) == len(read) else None

    def _is_per_model(self, parameter: Parameter, at: Located) -> bool:
        if not parameter.per_model:
            text = f"{parameter.name} is one value for all models, got {shown(at.plain())}"
            self.faults.add(at.line, text)
        return parameter.per_model

    def _one(self, parameter: Parameter, at: Located) -> bool | int | float | str | Gradient | None:
        if isinstance(at.value, dict):
            return self._gradient(parameter, at, at.value)
        value = at.text if parameter.type is str else at.value
        if value is None or isinstance(value, list):
            self.faults.add(at.line, f"{parameter.name} must be one value, got {shown(at.plain())}")
            return None
        try:
            parameter.check(self.method, value, 1)
        except RecipeError as error:
            note(error, at.line, self.faults)
            return None
        return value

    def _gradient(
        self, parameter: Parameter, at: Located, ends: dict[str, Located]
    ) -> Gradient | None:
        if parameter.type is not float or set(ends) != set(ENDS):
            text = f"{parameter.name} cannot be {shown(at.plain())}"
            is_number = parameter.type is float
            hint = (
                "a number that changes over layers is {from: 0.2, to: 0.8}" if is_number else None
            )
            self.faults.add(at.line, text, hint)
            return None
        first, last = (self._number(parameter, ends[end]) for end in ENDS)
        return None if first is None or last is None else Gradient(first, last)

    def _number(self, parameter: Parameter, at: Located) -> float | None:
        value = None if isinstance(at.value, dict) else self._one(parameter, at)
        if isinstance(at.value, dict):
            self.faults.add(at.line, f"{parameter.name} must be a number, got {shown(at.plain())}")
        return float(value) if isinstance(value, int | float) else None
