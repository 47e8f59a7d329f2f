from __future__ import annotations

import pytest
import torch
from torch import nn

from alnico.errors import IncompatibleModelsError, RecipeError, UnknownNameError
from alnico.merging.plan import Form, Forms, make_plan, read_forms, some


def forms(**shapes: tuple[int, ...]) -> Forms:
    return {name: Form(torch.float32, shape) for name, shape in shapes.items()}


def test_a_plan_holds_every_parameter_and_the_forms_of_the_result() -> None:
    found = forms(a=(2, 3), b=())
    plan = make_plan(
        [("cats", found), ("dogs", found)], "ties", {"density": 0.5}, base=("b", found)
    )
    assert plan.method.name == "ties" and plan.forms == found
    assert plan.parameters == {"weight": 1.0, "density": 0.5, "scale": 1.0}


def test_a_form_says_what_is_merged_and_how_large_it_is() -> None:
    state = {"w": torch.ones(2, 3).half(), "n": torch.tensor(1), "z": torch.ones(2) * 1j}
    found = read_forms("model 1", state)
    assert {name: (form.has_mean, form.n_bytes) for name, form in found.items()} == {
        "w": (True, 12),
        "n": (False, 8),
        "z": (False, 16),
    }


@pytest.mark.parametrize("stray", [3, {"w": torch.ones(1)}, None])
def test_what_is_no_tensor_is_named(stray: object) -> None:
    with pytest.raises(RecipeError, match="model 2 holds 'epoch', which is no tensor but of type"):
        read_forms("model 2", {"w": torch.ones(1), "epoch": stray})  # type: ignore[dict-item]


@pytest.mark.parametrize("module", [nn.LazyLinear(2), nn.Linear(2, 2, device="meta")])
def test_tensors_without_values_are_refused(module: nn.Module) -> None:
    with pytest.raises(RecipeError, match="weight of base has no values yet\n  help: load its"):
        read_forms("base", module.state_dict())


def test_method_and_parameters_are_checked_first() -> None:
    with pytest.raises(UnknownNameError, match="no merge method 'tise'\n  help: did you mean 't"):
        make_plan([("a", forms()), ("b", forms(w=(1,)))], "tise", {})
    with pytest.raises(RecipeError, match="no parameter 'densty'\n  help: did you mean 'density'"):
        make_plan([("a", forms()), ("b", forms(w=(1,)))], "ties", {"densty": 1})
    with pytest.raises(RecipeError, match="slerp merges 2 models, got 1"):
        make_plan([("a", forms())], "slerp", {})
    with pytest.raises(RecipeError, match="there are no models to merge"):
        make_plan([], "linear", {})


def test_a_base_is_asked_for_where_needed_and_refused_where_useless() -> None:
    one = [("a", forms())]
    with pytest.raises(RecipeError, match="ties merges changes from a base, and there is none"):
        make_plan(one, "ties", {})
    with pytest.raises(RecipeError, match="linear has no use for a base"):
        make_plan(one, "linear", {}, base=("base", forms()))


def test_differing_shapes_are_shown_up_to_six_with_the_ways_out() -> None:
    narrow, wide = (forms(**{f"w{i}": (i, size) for i in range(9)}) for size in (2, 3))
    with pytest.raises(IncompatibleModelsError) as error:
        make_plan([("cats", narrow), ("dogs", narrow), ("wide", wide)], "linear", {})
    lines = str(error.value).splitlines()
    assert lines[0] == "cats and wide differ in the shape of 9 of 9 tensors"
    assert lines[1] == "  w0    cats [0, 2]    wide [0, 3]"
    assert lines[6].startswith("  w5 ") and lines[7] == "  ... 3 more"
    assert lines[8] == "  help: merging needs one architecture and equal widths"
    assert 'alnico.fuse([a, b], "average")' in lines[9]
    assert "alnico.distill(teacher, student, data=...)" in lines[10]


def test_shapes_stand_below_each_other() -> None:
    models = [("a", forms(w=(2,), longer=(3,))), ("b", forms(w=(4,), longer=(5,)))]
    with pytest.raises(IncompatibleModelsError) as error:
        make_plan(models, "linear", {})
    assert "  w         a [2]    b [4]\n  longer    a [3]    b [5]\n" in str(error.value)


def test_missing_tensors_are_named_on_both_sides_and_beside_other_faults() -> None:
    models = [("a", forms(x=(1,), y=(2,))), ("b", forms(x=(1,), z=(2,))), ("c", forms(x=(9,)))]
    with pytest.raises(IncompatibleModelsError) as error:
        make_plan(models, "linear", {})
    for fault in (
        "only a has y; b has not",
        "only b has z; a has not",
        "only a has y; c has not",
        "a and c differ in the shape of 1 of 2 tensors",
    ):
        assert fault in str(error.value)
    with pytest.raises(IncompatibleModelsError, match="only base has z; a has not"):
        make_plan(models[:1], "ties", {}, base=("base", forms(x=(1,), y=(2,), z=(1,))))


def test_a_dtype_that_differs_is_named_with_another_way_out() -> None:
    single, double = ({"w": Form(d, (2,))} for d in (torch.float32, torch.float64))
    with pytest.raises(IncompatibleModelsError) as error:
        make_plan([("a", single), ("b", double)], "linear", {})
    assert "differ in the dtype of 1 of 1 tensors\n  w    a float32    b float64" in str(
        error.value
    )
    assert "help: convert them to one dtype before merging" in str(error.value)


def test_a_state_dict_of_a_module_can_be_read() -> None:
    assert read_forms("model 1", nn.Linear(3, 2).state_dict())["weight"] == Form(
        torch.float32, (2, 3)
    )


def test_some_names_are_shown_and_others_counted() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some([*"abcdefgh"], between="; ") == "a; b; c; d; e; f; ... 2 more"
