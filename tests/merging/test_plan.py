from __future__ import annotations

import pytest
import torch
from torch import nn

from alnico.errors import IncompatibleModelsError, RecipeError, UnknownNameError
from alnico.merging.plan import make_plan, read_forms
from alnico.merging.steps import Form, Forms
from alnico.methods import methods


def forms(**shapes: tuple[int, ...]) -> Forms:
    return {name: Form("F32", shape) for name, shape in shapes.items()}


def test_every_step_holds_the_method_and_all_its_parameters() -> None:
    found = forms(a=(2, 3), b=())
    plan = make_plan(
        [("cats", found), ("dogs", found)], "ties", {"density": 0.5}, base=("b", found), seed=3
    )
    assert {step.name: step.form for step in plan.steps} == found
    assert (plan.models, plan.base, plan.seed) == (("cats", "dogs", "b"), 2, 3)
    for step in plan.steps:
        assert step.method is methods["ties"] and step.parameters["density"] == 0.5
        assert set(step.parameters) == {each.name for each in methods["ties"].parameters}


def test_the_forms_of_a_state_dict_are_named_as_files_name_them() -> None:
    state = {
        "w": torch.ones(2, 3).half(),
        "n": torch.tensor(1),
        "z": torch.ones(2) * 1j,
        **{f"linear.{name}": tensor for name, tensor in nn.Linear(3, 2).state_dict().items()},
    }
    assert read_forms("model 1", state) == {
        "w": Form("F16", (2, 3)),
        "n": Form("I64", ()),
        "z": Form("C64", (2,)),
        "linear.weight": Form("F32", (2, 3)),
        "linear.bias": Form("F32", (2,)),
    }


@pytest.mark.parametrize("stray", [3, {"w": torch.ones(1)}, None])
def test_what_is_no_tensor_is_named(stray: object) -> None:
    with pytest.raises(RecipeError, match="model 2 holds 'epoch', which is no tensor but of type"):
        read_forms("model 2", {"w": torch.ones(1), "epoch": stray})  # type: ignore[dict-item]


@pytest.mark.parametrize("module", [nn.LazyLinear(2), nn.Linear(2, 2, device="meta")])
def test_tensors_without_values_are_refused(module: nn.Module) -> None:
    with pytest.raises(RecipeError, match="weight of base has no values yet\n  help: load its"):
        read_forms("base", module.state_dict())


def test_a_dtype_that_no_file_has_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"w of base is of dtype .*128, which no file of"):
        read_forms("base", {"w": torch.ones(1, dtype=torch.complex128)})


def test_method_and_parameters_are_checked_before_the_models() -> None:
    unlike = [("a", forms()), ("b", forms(w=(1,)))]
    with pytest.raises(UnknownNameError, match="no merge method 'tise'\n  help: did you mean 't"):
        make_plan(unlike, "tise", {})
    with pytest.raises(RecipeError, match="no parameter 'densty'\n  help: did you mean 'density'"):
        make_plan(unlike, "ties", {"densty": 1})
    with pytest.raises(RecipeError, match="slerp merges 2 models, got 1"):
        make_plan(unlike[:1], "slerp", {})
    with pytest.raises(RecipeError, match="there are no models to merge"):
        make_plan([], "linear", {})
    with pytest.raises(IncompatibleModelsError, match="only b has w; a has not"):
        make_plan(unlike, "linear", {})


def test_a_base_is_asked_for_where_needed_and_refused_where_useless() -> None:
    one = [("a", forms())]
    with pytest.raises(RecipeError, match="ties merges changes from a base, and there is none"):
        make_plan(one, "ties", {})
    with pytest.raises(RecipeError, match="linear has no use for a base"):
        make_plan(one, "linear", {}, base=("base", forms()))
    with pytest.raises(IncompatibleModelsError, match="only base has z; a has not"):
        make_plan(one, "ties", {}, base=("base", forms(z=(1,))))
