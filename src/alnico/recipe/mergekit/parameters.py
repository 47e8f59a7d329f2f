"""The `parameters` of a recipe, a module, a slice or a model: values, gradients and filters."""

from __future__ import annotations

from collections.abc import Mapping

from alnico.recipe.faults import shown
from alnico.recipe.mergekit.reading import Reading, Where
from alnico.recipe.mergekit.schema import Parameters, Rule, Scalar
from alnico.recipe.mergekit.settings import cast
from alnico.recipe.mergekit.table import ALL_PARAMETERS, Contract, Parameter


def read_parameters(reading: Reading, where: Where, contract: Contract | None) -> Parameters:
    """The rules of each parameter that the method has; others are noted and left out.

    Args:
        reading: The recipe, and where faults are noted.
        where: The mapping; nothing may stand there.
        contract: Of the method; None if there is no such method, which is a fault already.
    """
    found = reading.at(where)
    if found is None or contract is None:
        return {}
    if not isinstance(found, Mapping):
        reading.fault(where, f"parameters must be a mapping, got {shown(found)}")
        return {}
    rules = {}
    for name in map(str, found):
        if name in contract.parameters:
            rules[name] = _read_rules(reading, (*where, name), contract.parameters[name])
        elif name not in ALL_PARAMETERS:
            reading.stray((*where, name), contract.parameters)
        if name in ALL_PARAMETERS - contract.parameters.keys() | contract.unused:
            reading.say((*where, name), f"{name} has no effect on {contract.name}")
    return rules


def _read_rules(reading: Reading, where: Where, parameter: Parameter) -> tuple[Rule, ...]:
    value = reading.at(where)
    if isinstance(value, Mapping):
        return _read_rule(reading, where, parameter)
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        places = [(*where, i) for i in range(len(value))]
        return tuple(rule for at in places for rule in _read_rule(reading, at, parameter))
    return _read_value(reading, where, parameter, None)


def _read_rule(reading: Reading, where: Where, parameter: Parameter) -> tuple[Rule, ...]:
    reading.keys(where, ["value", "filter"])
    filter = reading.at((*where, "filter"))
    if filter is not None and not isinstance(filter, str):
        reading.fault((*where, "filter"), f"a filter must be a text, got {shown(filter)}")
        return ()
    return _read_value(reading, (*where, "value"), parameter, filter)


def _read_value(
    reading: Reading, where: Where, parameter: Parameter, filter: str | None
) -> tuple[Rule, ...]:
    found = reading.at(where)
    if found is None:
        reading.fault(where, f"{parameter.name} has no value", help="give one, or leave it out")
        return ()
    values: list[Scalar] = []
    for one in found if isinstance(found, list) else [found]:
        try:
            values.append(cast(parameter.kind, one))
        except ValueError as error:
            reading.fault(where, f"{parameter.name} {error}")
            return ()
    value = tuple(values) if isinstance(found, list) else values[0]
    if value == ():
        reading.say(where, f"{parameter.name} is a gradient without values, which says nothing")
    return (Rule(value, filter, reading.line(where)),)
