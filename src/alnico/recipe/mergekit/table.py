"""mergekit 0.1.5's twenty methods: what each takes, asks for and assumes.

Names, defaults and counts are mergekit's own; `translate` says what they are called here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = "type[bool] | type[int] | type[float]"
Scope: TypeAlias = Literal["shared", "input", "changed"]
"""One value per tensor; one per model; or one per model other than the base."""

REQUIRED = object()
"""The default of a parameter that has none."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a method.

    Args:
        name: Its key in a recipe.
        kind: The type of its values.
        scope: What has a value of its own.
        default: What it is if no rule fits; None leaves it out.
    """

    name: str
    kind: Kind
    scope: Scope = "shared"
    default: object = REQUIRED


@dataclass(frozen=True)
class Contract:
    """What a method asks of a recipe.

    Args:
        name: Of the method.
        base: Whether it needs a base; or merges it as one more model.
        least: How many models it merges at least, the base among them.
        most: And at most; None for any number.
        parameters: By name.
        changed: How many models other than the base it merges; None for any number.
        lone: When a tensor that some models lack is copied from one that has it.
        unused: Parameters that it takes and makes no use of.
    """

    name: str
    base: Literal["required", "optional", "ignored"]
    least: int
    most: int | None
    parameters: Mapping[str, Parameter]
    changed: int | None = None
    lone: Literal["never", "one", "base"] = "never"
    unused: frozenset[str] = frozenset()

    def fault(self, n_models: int, *, has_base: bool) -> str | None:
        """What is wrong with the number of models, the base among them; None if nothing is."""
        if self.base == "required" and not has_base:
            return f"{self.name} merges changes from a base, and no base_model is among the models"
        least, most = self.least, self.most
        if self.base == "optional":
            least = 1 + has_base
        if self.changed is not None:
            least = most = self.changed + has_base
        if n_models < least or (most is not None and n_models > most):
            asked = f"{least}" if least == most else f"at least {least}"
            counted = ", base_model among them" if has_base or self.base == "ignored" else ""
            plural = "" if asked == "1" else "s"
            return f"{self.name} merges {asked} model{plural}{counted}; got {n_models}"
        return None


def _by_name(*parameters: Parameter) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in parameters}


_WEIGHT = Parameter("weight", float, "changed")
_GAMMA = Parameter("gamma", float, "changed", 0.01)
_EPSILON = Parameter("epsilon", float, "changed", 0.15)
_RAM = Parameter("epsilon", float, default=1e-5)


def _changes(name: str, *more: Parameter, normalize: bool, rescale: bool) -> Contract:
    """A method of the family of task arithmetic."""
    parameters = _by_name(
        Parameter("int8_mask", bool, default=False),
        Parameter("normalize", bool, default=normalize),
        Parameter("rescale", bool, default=rescale),
        Parameter("lambda", float, default=1.0),
        _WEIGHT,
        Parameter("density", float, "changed", 1.0),
        *more,
    )
    unused = ["density", "rescale"] if name == "task_arithmetic" else []
    return Contract(name, "required", 1, None, parameters, unused=frozenset(unused))


_NUSLERP = _by_name(
    _WEIGHT,
    Parameter("nuslerp_row_wise", bool, default=False),
    Parameter("nuslerp_flatten", bool, default=True),
)
_MULTISLERP = _by_name(
    _WEIGHT,
    Parameter("normalize_weights", bool, default=True),
    Parameter("eps", float, default=1e-8),
)
_LINEAR = _by_name(Parameter("weight", float, "input"), Parameter("normalize", bool, default=True))
_KARCHER = _by_name(Parameter("max_iter", int, default=10), Parameter("tol", float, default=1e-5))
_SCE = _by_name(
    Parameter("int8_mask", bool, default=False), Parameter("select_topk", float, default=1.0)
)
_RAMPLUS = _by_name(
    Parameter("r", float, default=0.1), Parameter("alpha", float, default=0.2), _RAM
)
_T = _by_name(Parameter("t", float))
_SCALE = _by_name(Parameter("scale", float, "input", None))
_FILTER_WISE = _by_name(Parameter("filter_wise", bool, default=False))

CONTRACTS: Mapping[str, Contract] = {
    contract.name: contract
    for contract in (
        Contract("linear", "ignored", 1, None, _LINEAR),
        Contract("slerp", "required", 2, 2, _T, lone="one"),
        Contract("nuslerp", "optional", 1, None, _NUSLERP, changed=2, lone="one"),
        Contract("multislerp", "optional", 1, None, _MULTISLERP),
        Contract("karcher", "ignored", 1, None, _KARCHER),
        Contract("passthrough", "ignored", 1, 1, _SCALE),
        _changes("task_arithmetic", normalize=False, rescale=False),
        _changes("ties", normalize=True, rescale=False),
        _changes("dare_ties", normalize=False, rescale=True),
        _changes("dare_linear", normalize=False, rescale=True),
        _changes("breadcrumbs", _GAMMA, normalize=False, rescale=False),
        _changes("breadcrumbs_ties", _GAMMA, normalize=False, rescale=False),
        _changes("della", _EPSILON, normalize=True, rescale=True),
        _changes("della_linear", _EPSILON, normalize=False, rescale=True),
        Contract("model_stock", "required", 3, None, _FILTER_WISE, lone="base"),
        Contract("nearswap", "required", 2, 2, _T, lone="base"),
        Contract("sce", "required", 1, None, _SCE),
        Contract("arcee_fusion", "required", 2, 2, {}, lone="one"),
        Contract("ram", "required", 1, None, _by_name(_RAM)),
        Contract("ramplus_tl", "required", 1, None, _RAMPLUS),
    )
}
"""mergekit's methods by name."""

ALL_PARAMETERS = frozenset(name for one in CONTRACTS.values() for name in one.parameters)
"""What any of them takes."""
