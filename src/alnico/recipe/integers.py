"""Integer tensors that differ between models: those of one model, where it is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from alnico.errors import UnknownNameError
from alnico.merging.steps import Plan, Step
from alnico.registry import suggest


def take_integers(plan: Plan, wanted: str, names: Sequence[str]) -> Plan:
    """A plan in which tensors without a mean are copied from one model.

    Args:
        plan: The plan.
        wanted: The model, by its name in the recipe or by its path.
        names: Of each of the plan's models, in its recipe.

    Raises:
        UnknownNameError: If it is none of the plan's models.
    """
    for known in (names, plan.models):
        if wanted in known:
            number = known.index(wanted)
            break
    else:
        help = suggest(wanted, [*names, *plan.models], all_of_them="models are")
        raise UnknownNameError(f"integers-from: {wanted!r} is not one of the models", help=help)
    steps = tuple(_taken(step, number) for step in plan.steps)
    if steps == plan.steps:
        return plan
    said = f"integer tensors are those of {plan.models[number]}: --integers-from {wanted}"
    return replace(plan, steps=steps, said=(*plan.said, said))


def _taken(step: Step, number: int) -> Step:
    if step.rule not in ("equal", "largest"):
        return step
    own = tuple(each for each in step.inputs if each.model == number)
    return replace(step, rule="copy", inputs=own) if own else step
