"""The form of a method, on methods that are made here and taken out of the registry again."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Annotated

import pytest
import torch
from torch import Tensor

from alnico.errors import AlnicoError, RecipeError, UnknownNameError
from alnico.methods import Fraction, Method, Range, method, methods, per_model


@pytest.fixture(autouse=True)
def _registry_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "_things", dict(methods._things))


@pytest.fixture
def scaled() -> Iterator[Method]:
    @method(paper="https://example.org/paper")
    def scaled(
        deltas: Tensor,
        weight: Tensor = per_model(1.0),
        density: Fraction = 0.2,
        rounds: Annotated[int, Range(1, 5)] = 2,
        mode: str = "fast",
        signed: bool = False,
    ) -> Tensor:
        """Scale the deltas.

        deltas: [k, ...] -> [...]
        """
        return (deltas * weight).sum(0) * density * rounds

    yield scaled


def test_the_signature_is_the_interface(scaled: Method) -> None:
    assert (scaled.name, scaled.sees, scaled.summary) == ("scaled", "deltas", "Scale the deltas.")
    assert [(p.name, p.default, p.type, p.interval, p.per_model) for p in scaled.parameters] == [
        ("weight", 1.0, float, None, True),
        ("density", 0.2, float, Range(0, 1), False),
        ("rounds", 2, int, Range(1, 5), False),
        ("mode", "fast", str, None, False),
        ("signed", False, bool, None, False),
    ]
    assert methods["scaled"] is scaled and scaled.paper == "https://example.org/paper"
    assert not scaled.symmetric and not scaled.idempotent and scaled.models is None


@pytest.mark.parametrize("weight", [[1.0, 2.0, 4.0], (1, 2, 4), torch.tensor([1.0, 2.0, 4.0])])
def test_one_coefficient_per_model_arrives_as_a_column(scaled: Method, weight: object) -> None:
    stack = torch.randn(3, 2, 5)
    expected = (stack[0] + 2 * stack[1] + 4 * stack[2]) * 0.4
    torch.testing.assert_close(scaled(stack, weight=weight), expected)
    torch.testing.assert_close(scaled(stack[:, 0, 0], weight=weight), expected[0, 0])


@pytest.mark.parametrize("weight", [3, 3.0, torch.tensor(3.0)])
def test_one_number_is_every_models_coefficient(scaled: Method, weight: object) -> None:
    torch.testing.assert_close(scaled(torch.ones(2, 4), weight=weight), torch.full((4,), 2.4))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"densty": 0.5}, "scaled has no parameter 'densty'\n  help: did you mean 'density'?"),
        ({"zzz": 1}, "has no parameter 'zzz'\n  help: its parameters are weight, density, rounds"),
        ({"density": 20}, r"density must lie in \[0, 1\], got 20\n  help: 20 % is 0.2"),
        ({"density": -0.1}, r"density must lie in \[0, 1\], got -0.1$"),
        ({"density": float("nan")}, "density must be finite, got nan"),
        ({"density": "half"}, "density must be a number, got 'half'"),
        ({"density": True}, "density must be a number, got True"),
        ({"density": [0.1, 0.2, 0.3]}, "density must be a number, got "),
        ({"rounds": 2.0}, "rounds must be a whole number, got 2.0"),
        ({"rounds": 9}, r"rounds must lie in \[1, 5\], got 9$"),
        ({"signed": 1}, "signed must be true or false, got 1"),
        ({"mode": 3}, "mode must be a text, got 3"),
        ({"weight": [1.0, 2.0]}, "weight has 2 values for 3 models"),
        ({"weight": torch.ones(4)}, "weight has 4 values for 3 models"),
        ({"weight": torch.ones(3, 1)}, r"weight must be a number, got \[1.0\]"),
        ({"weight": [1.0, float("inf"), 1.0]}, "weight must be finite, got inf"),
        ({"weight": "heavy"}, "weight must be a number, got 'heavy'"),
    ],
)
def test_a_wrong_parameter_is_refused_with_the_way_out(
    scaled: Method, parameters: dict, message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        scaled(torch.ones(3, 2), **parameters)


def test_each_models_coefficient_has_the_range_that_is_written() -> None:
    @method()
    def ranged(weights: Tensor, weight: Annotated[Tensor, Range(0, 1)] = per_model(0.5)) -> Tensor:
        """Stay within a range."""
        return (weights * weight).sum(0)

    with pytest.raises(RecipeError, match=r"ranged: weight must lie in \[0, 1\], got 50"):
        ranged(torch.ones(2, 2), weight=[0.5, 50])


def test_a_method_of_two_models_refuses_three() -> None:
    @method(models=2)
    def pair(weights: Tensor) -> Tensor:
        """Take the second."""
        return weights[1]

    with pytest.raises(RecipeError, match="pair merges 2 models, got 3"):
        pair(torch.ones(3, 2))


def test_a_method_may_need_a_number_of_models_at_least() -> None:
    @method(at_least=2)
    def several(deltas: Tensor) -> Tensor:
        """Take the second."""
        return deltas[1]

    assert several(torch.arange(3.0)) == 1.0
    with pytest.raises(RecipeError, match="several merges 2 or more models, got 1"):
        several(torch.ones(1, 2))


@pytest.mark.parametrize(
    ("sees", "needs", "takes"),
    [("weights", False, False), ("deltas", True, True), ("vectors", False, True)],
)
def test_what_a_method_sees_says_whether_there_is_a_base(
    sees: str, needs: bool, takes: bool
) -> None:
    def seeing(x: Tensor) -> Tensor:
        """Take the first."""
        return x[0]

    first = inspect.signature(seeing).parameters["x"].replace(name=sees)
    seeing.__signature__ = inspect.Signature([first])  # type: ignore[attr-defined]
    made = method()(seeing)
    assert (made.sees, made.needs_base, made.takes_base) == (sees, needs, takes)
    assert not made.asks_base and made.at_least == 1


def test_a_method_that_asks_for_the_base_is_given_it() -> None:
    @method()
    def halfway(weights: Tensor, base: Tensor, share: float = 0.5) -> Tensor:
        """Go a share of the way from the base."""
        return base + share * (weights.mean(0) - base)

    assert halfway.asks_base and halfway.needs_base and halfway.takes_base
    assert [parameter.name for parameter in halfway.parameters] == ["share"]
    stack, base = torch.full((2, 3), 4.0), torch.full((3,), 2.0)
    assert halfway(stack, base=base).tolist() == [3.0] * 3
    with pytest.raises(RecipeError, match="halfway needs the base's values"):
        halfway(stack)
    assert methods["linear"](stack, base=base).tolist() == [4.0] * 3


def no_default(weights: Tensor, scale: float) -> Tensor:
    """Scale."""


def wrong_first(tensors: Tensor) -> Tensor:
    """Guess."""


def no_parameter() -> Tensor:
    """Do nothing."""


def anything(weights: Tensor, **options: float) -> Tensor:
    """Take anything."""


def untyped(weights: Tensor, scale=1.0) -> Tensor:  # type: ignore[no-untyped-def]
    """Scale."""


def unreadable(weights: Tensor, scale: Missing = 1.0) -> Tensor:  # noqa: F821
    """Scale."""


def taken(weights: Tensor, base: float = 1.0) -> Tensor:
    """Shift."""


def based(weights: Tensor, base: Tensor = None) -> Tensor:  # type: ignore[assignment]
    """Shift."""


def out_of_range(weights: Tensor, density: Fraction = 20.0) -> Tensor:
    """Keep a share."""


def undescribed(weights: Tensor) -> Tensor:
    return weights[0]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (no_default, "no_default: scale has no default"),
        (wrong_first, "the first parameter is named 'tensors'\n  help: name it for what"),
        (based, "based: base is a name that merging has taken"),
        (no_parameter, "the first parameter is named ''"),
        (anything, "anything: options takes any arguments"),
        (untyped, "untyped: scale must be annotated as float, int, bool or str"),
        (unreadable, "an annotation cannot be read: name 'Missing' is not defined"),
        (taken, "taken: base is a name that merging has taken"),
        (out_of_range, r"density must lie in \[0, 1\], got 20"),
        (undescribed, "undescribed: a method needs a docstring"),
    ],
)
def test_a_signature_that_cannot_be_read_is_refused(function: object, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        method()(function)
    assert function.__name__ not in methods


def test_a_method_that_is_defined_again_takes_the_place_of_the_earlier() -> None:
    for shift in (1.0, 2.0):

        @method()
        def shifted(weights: Tensor, shift: float = shift) -> Tensor:
            """Shift the mean."""
            return weights.mean(0) + shift

    assert methods["shifted"] is shifted and list(methods).count("shifted") == 1
    assert methods["shifted"](torch.zeros(2, 1)).tolist() == [2.0]


def test_two_methods_cannot_share_a_name_and_an_unknown_name_is_suggested() -> None:
    def linear(weights: Tensor) -> Tensor:
        """Be another one."""

    with pytest.raises(AlnicoError, match="two merge methods are named 'linear'"):
        method()(linear)
    with pytest.raises(UnknownNameError, match="no merge method 'liner'\n  help: did you mean"):
        methods["liner"]
