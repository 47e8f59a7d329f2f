"""Models in memory, as state dicts or modules: checked first, then merged."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from alnico import progress
from alnico.merging.alike import some
from alnico.merging.passes import Merged, run
from alnico.merging.plan import make_plan, read_forms
from alnico.methods import Method
from alnico.methods._method import Value
from alnico.types import StateDict


def merge_states(
    states: Sequence[Mapping[str, Tensor]],
    /,
    method: str | Method = "linear",
    *,
    base: Mapping[str, Tensor] | None = None,
    seed: int = 0,
    **parameters: Value,
) -> StateDict:
    """Merge models of one architecture, given as state dicts, and tell nothing of it.

    The models are constants here; the result is differentiable in the method's coefficients.
    What has no mean (integers, booleans) is copied and must be equal in all models, except for
    BatchNorm's counter of batches, of which the largest is taken.

    Args:
        states: One of each model.
        method: A merge method, or its name.
        base: The model that all came from; a method that sees deltas needs it.
        seed: Of methods that draw random numbers.
        **parameters: Of the method.

    Returns:
        New tensors under the names and in the dtypes of the models.

    Raises:
        UnknownNameError: If there is no such method.
        RecipeError: If a parameter is wrong, or a base is missing or of no use.
        IncompatibleModelsError: If names, shapes, dtypes or integer tensors differ, or the result
            has values that are not finite where the models had finite ones.
    """
    return combine(states, method, parameters, base=base, seed=seed).tensors


def merge_modules(
    modules: Sequence[nn.Module],
    /,
    method: str | Method = "linear",
    *,
    base: nn.Module | None = None,
    seed: int = 0,
    **parameters: Value,
) -> nn.Module:
    """Merge modules of one architecture into a new one; see `merge_states`.

    Returns:
        A copy of the first module, in its mode and on its device, with the merged weights.
    """
    root = None if base is None else base.state_dict()
    states = [module.state_dict() for module in modules]
    done = combine(states, method, parameters, base=root, seed=seed)
    tell_counters(done)
    _warn_of_other_parts(modules)
    merged = copy.deepcopy(modules[0])
    merged.load_state_dict(done.tensors)
    return merged


def _warn_of_other_parts(modules: Sequence[nn.Module]) -> None:
    """Say where modules of equal tensors compute something else, such as another activation."""
    first, *others = ({name: type(m) for name, m in one.named_modules()} for one in modules)
    for i, other in enumerate(others, start=2):
        name = next((name for name in first | other if first.get(name) != other.get(name)), None)
        if name is not None:
            here, there = (getattr(found.get(name), "__name__", "none") for found in (first, other))
            progress.warn(
                f"{name or 'the whole'} is {here} in model 1 and {there} in model {i}; "
                "the merged model has that of model 1"
            )


def combine(
    states: Sequence[Mapping[str, Tensor]],
    method: str | Method,
    parameters: Mapping[str, Value],
    *,
    base: Mapping[str, Tensor] | None = None,
    seed: int = 0,
) -> Merged:
    """Check and merge state dicts; see `merge_states`."""
    models = [(f"model {i}", read_forms(f"model {i}", s)) for i, s in enumerate(states, start=1)]
    root = None if base is None else ("base", read_forms("base", base))
    plan = make_plan(models, method, parameters, base=root, seed=seed)
    return run(plan, [*states, *([] if base is None else [base])])


def tell_counters(done: Merged) -> None:
    """Say which counters differed, if any did."""
    if done.counters:
        progress.note(
            "merge", f"counters that differ take the largest value: {some(done.counters)}"
        )
