from __future__ import annotations

import pytest
import torch

from alnico.errors import IncompatibleModelsError, RecipeError
from alnico.merging.exact.inputs import based, counted, flag, number, numbers


def test_values_are_read_with_their_type() -> None:
    parameters = {"t": 0.5, "normalize": False, "weight": torch.tensor([1.0, 2.0])}
    assert number(parameters, "t") == 0.5
    assert flag(parameters, "normalize") is False
    assert numbers(parameters, "weight", [torch.ones(1)] * 2) == [1.0, 2.0]


def test_what_is_missing_is_named() -> None:
    for read in (number, flag):
        with pytest.raises(RecipeError, match="epsilon is not given"):
            read({"t": 0.5}, "epsilon")
    with pytest.raises(RecipeError, match="weight is not given"):
        numbers({}, "weight", [])


def test_a_list_in_the_place_of_one_value_is_refused_and_the_other_way_round() -> None:
    with pytest.raises(RecipeError, match=r"t must be one number for all models, got \[0.5\]"):
        number({"t": [0.5]}, "t")
    with pytest.raises(RecipeError, match=r"weight must be a list of 2 numbers, got 0\.5"):
        numbers({"weight": 0.5}, "weight", [torch.ones(1)] * 2)
    with pytest.raises(RecipeError, match=r"a list of 1 numbers, got \[0.5, 0.5\]"):
        numbers({"weight": [0.5, 0.5]}, "weight", [torch.ones(1)])
    with pytest.raises(RecipeError, match="normalize must be true or false, got 'yes'"):
        flag({"normalize": "yes"}, "normalize")


def test_models_are_counted() -> None:
    tensors = [torch.ones(1)] * 3
    assert counted("mean", tensors, 1) is tensors
    assert counted("mean", tensors, 3, 3) is tensors
    with pytest.raises(IncompatibleModelsError, match="mean merges 2 models, got 3"):
        counted("mean", tensors, 2, 2)
    with pytest.raises(IncompatibleModelsError, match="mean merges at least 4 models, got 3"):
        counted("mean", tensors, 4)


def test_a_missing_base_is_named() -> None:
    base = torch.ones(1)
    assert based("ties", base) is base
    with pytest.raises(RecipeError, match="ties needs a base model"):
        based("ties", None)
