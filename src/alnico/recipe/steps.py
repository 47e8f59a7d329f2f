"""The steps of a recipe: a verb each, with the arguments that the verb has elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from alnico.errors import RecipeError, UnknownNameError
from alnico.methods import Method, methods
from alnico.recipe.faults import Faults, shown
from alnico.recipe.located import Located
from alnico.recipe.parts import BASE, MergeStep, Rule
from alnico.recipe.reading import Names, note, read_keys, read_text
from alnico.recipe.settings import read_settings
from alnico.registry import closest

LONGEST_PATTERN = 500
MOST_RULES = 1000


@dataclass(frozen=True)
class Scope:
    """What a step may speak of.

    Args:
        names: The recipe's models.
        has_base: Whether the recipe names a base.
        base_line: The line of the base.
    """

    names: Names
    has_base: bool
    base_line: int = 1


def read_step(at: Located, scope: Scope, faults: Faults) -> MergeStep | None:
    """Read one entry of `steps`; None and a fault if it is not as it must be."""
    if not isinstance(at.value, dict) or len(at.value) != 1:
        text = f"a step is a mapping with one verb, got {shown(at.plain())}"
        faults.add(at.line, text, "write it as  - merge: {method: linear}")
        return None
    ((verb, arguments),) = at.value.items()
    if verb not in VERBS:
        text = f"there is no step {shown(verb)} in this version; steps are {', '.join(VERBS)}"
        faults.add(at.key_lines[verb], text)
        return None
    return VERBS[verb](arguments, scope, faults)


def read_merge(at: Located, scope: Scope, faults: Faults) -> MergeStep | None:
    """Read the verb `merge`; None and a fault if its method is not known."""
    if not isinstance(at.value, dict):
        text = f"merge must be a mapping, got {shown(at.plain())}"
        faults.add(at.line, text, "write it as  - merge: {method: linear}")
        return None
    method = _read_method(at, faults)
    if method is None:
        return None
    known = [parameter.name for parameter in method.parameters]
    keys = ["method", *known, "models", "where"]
    given = read_keys(at, keys, faults, what=method.name, kind="parameter")
    del given["method"]
    names = _read_models(given.pop("models", None), scope.names, faults)
    rules = _read_rules(given.pop("where", None), method, names, scope, faults)
    parameters = read_settings(given, method, names, faults)
    line = at.key_lines["method"]
    _check_count(method, names, line, faults)
    _check_base(method, rules, scope, line, faults)
    return MergeStep(method.name, names.models or (), parameters, rules, line)


VERBS: Mapping[str, Callable[[Located, Scope, Faults], MergeStep | None]] = {"merge": read_merge}
"""The steps of this version."""


def _read_method(at: Located, faults: Faults) -> Method | None:
    assert isinstance(at.value, dict)
    if "method" not in at.value:
        near = closest("method", at.value)
        hint = "alnico methods lists them" if near is None else f"did you write {near!r} for it?"
        faults.add(at.line, "merge has no method", hint)
        return None
    name = read_text(at.value["method"], faults, what="method")
    try:
        return None if name is None else methods[name]
    except UnknownNameError as error:
        faults.add(at.key_lines["method"], error.message, error.help)
        return None


def _read_models(at: Located | None, names: Names, faults: Faults) -> Names:
    """The models of a step, all of the recipe's by default."""
    if at is None:
        return names
    if not isinstance(at.value, list) or not at.value:
        faults.add(at.line, f"models must be a list of names, got {shown(at.plain())}")
        return Names(None)
    found: dict[str, None] = {}
    for entry in at.value:
        name = read_text(entry, faults, what="models")
        if name in found:
            faults.add(entry.line, f"models: {shown(name)} is there twice", "leave one out")
        elif name is not None and names.has(name, entry.line, faults, what="models"):
            found[name] = None
    return Names(tuple(found), "this step") if len(found) == len(at.value) else Names(None)


def _read_rules(
    at: Located | None,
    method: Method,
    names: Names,
    scope: Scope,
    faults: Faults,
) -> tuple[Rule, ...]:
    if at is None:
        return ()
    if not isinstance(at.value, list):
        text = f"where must be a list of rules, got {shown(at.plain())}"
        faults.add(at.line, text, 'a rule is {match: "head.*", keep: MODEL}')
        return ()
    if len(at.value) > MOST_RULES:
        faults.add(at.line, f"where has {len(at.value)} rules, more than {MOST_RULES}")
        return ()
    found = [_read_rule(entry, method, names, scope, faults) for entry in at.value]
    return tuple(rule for rule in found if rule is not None)


def _read_rule(
    at: Located, method: Method, names: Names, scope: Scope, faults: Faults
) -> Rule | None:
    known = [parameter.name for parameter in method.parameters]
    given = read_keys(at, ["match", "keep", *known], faults, what="a rule")
    if not isinstance(at.value, dict):
        return None
    if "match" not in at.value:
        faults.add(at.line, "a rule must say which tensors it is for", 'write match: "head.*"')
    if set(at.value) <= {"match"}:
        faults.add(at.line, "a rule must say what is different", "keep: MODEL, or a parameter")
    match = read_text(given.pop("match", None), faults, what="match")
    if match is not None and len(match) > LONGEST_PATTERN:
        faults.add(at.line, f"match has {len(match)} characters, more than {LONGEST_PATTERN}")
    kept = given.pop("keep", None)
    settings = read_settings(given, method, names, faults)
    if kept is not None and given:
        text = f"a tensor that is kept has no {', '.join(given)}"
        faults.add(at.line, text, "write two rules")
    keep = read_model(kept, names, scope, faults, what="keep")
    return Rule(match or "", settings, keep, at.line)


def read_model(
    at: Located | None, names: Names, scope: Scope, faults: Faults, *, what: str
) -> str | None:
    """Read the name of a model, or `base`; None if there is none, or no text.

    Args:
        at: Where the recipe says it.
        names: Models that it may be.
        scope: Of the recipe.
        faults: Where faults are noted.
        what: What messages call it.
    """
    name = read_text(at, faults, what=what)
    if at is None or name is None:
        return None
    if name != BASE:
        names.has(name, at.line, faults, what=what)
    elif not scope.has_base:
        faults.add(at.line, f"{what}: this recipe has no base", "name it: base: PATH")
    return name


def _check_count(method: Method, names: Names, line: int, faults: Faults) -> None:
    if names.models:
        try:
            method.check(len(names.models), {})
        except RecipeError as error:
            note(error, line, faults)


def _check_base(
    method: Method, rules: Sequence[Rule], scope: Scope, line: int, faults: Faults
) -> None:
    if method.needs_base and not scope.has_base:
        text = f"{method.name} merges changes from a base, and there is none"
        faults.add(line, text, "give the model that all came from: base: PATH")
    is_used = method.takes_base or any(rule.keep == BASE for rule in rules)
    if scope.has_base and not is_used:
        faults.add(scope.base_line, f"{method.name} has no use for a base", "leave it out")
