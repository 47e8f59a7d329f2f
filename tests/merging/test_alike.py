from __future__ import annotations

import pytest

from alnico.errors import IncompatibleModelsError, RecipeError
from alnico.merging.alike import (
    Keep,
    Merge,
    check_forms,
    is_counter,
    merge_by,
    plan_alike,
    some,
)
from alnico.merging.steps import Form, Forms, Input, Plan
from alnico.methods import methods

LINEAR = Merge(methods["linear"])
ADD = Merge(methods["task_arithmetic"])
MODEL = {
    "bn.weight": Form("BF16", (4,)),
    "bn.num_batches_tracked": Form("I64", ()),
    "ids": Form("I64", (1, 4)),
    "head": Form("F32", (2, 4)),
}


def forms(**shapes: tuple[int, ...]) -> Forms:
    return {name: Form("F32", shape) for name, shape in shapes.items()}


def plan(
    choice: Merge | Keep = LINEAR, *, with_base: bool = False, dtype: str | None = None
) -> Plan:
    base = ("base", MODEL) if with_base else None
    return plan_alike(
        [("a", MODEL), ("b", MODEL)], lambda _: choice, base=base, dtype=dtype, seed=7
    )


def test_what_has_a_mean_is_merged_and_what_has_none_is_compared() -> None:
    found = plan()
    assert found.models == ("a", "b") and found.seed == 7 and found.base is None
    assert [step.name for step in found.steps] == list(MODEL)
    assert [step.rule for step in found.steps] == ["merge", "largest", "equal", "merge"]
    for step in found.steps:
        assert step.form == MODEL[step.name] and step.base is None
        assert step.inputs == (Input(0, step.name), Input(1, step.name))


def test_the_base_is_the_last_model_and_no_input_of_a_merge() -> None:
    found = plan(ADD, with_base=True)
    assert found.models == ("a", "b", "base") and found.base == 2
    merged, counter, ids, _ = found.steps
    assert merged.base == Input(2, "bn.weight") and len(merged.inputs) == 2
    assert counter.inputs[2] == Input(2, "bn.num_batches_tracked") and counter.base is None
    assert len(ids.inputs) == 3, "the base's integers are compared, too"


def test_a_method_that_takes_no_base_gets_none_where_others_have_one() -> None:
    def choose(name: str) -> Merge:
        return ADD if name == "head" else LINEAR

    found = plan_alike([("a", MODEL)], choose, base=("base", MODEL))
    assert [step.base for step in found.steps if step.rule == "merge"] == [None, Input(1, "head")]


def test_a_kept_tensor_is_copied_from_its_model_or_from_the_base() -> None:
    for model in (1, 2):
        found = plan(Keep(model), with_base=True)
        assert {step.rule for step in found.steps} == {"copy"}
        assert [step.inputs for step in found.steps] == [(Input(model, name),) for name in MODEL]


def test_the_dtype_that_is_asked_for_is_that_of_floats_alone() -> None:
    for choice in (LINEAR, Keep(0)):
        dtypes = [step.form.dtype for step in plan(choice, dtype="F16").steps]
        assert dtypes == ["F16", "I64", "I64", "F16"]


def test_a_base_that_is_missing_or_no_models_are_errors() -> None:
    with pytest.raises(RecipeError, match="task_arithmetic merges changes from a base, and there"):
        plan(ADD)
    with pytest.raises(RecipeError, match="there are no models to merge"):
        plan_alike([], lambda _: LINEAR)


def test_a_merge_by_one_method_has_all_parameters_and_fits_the_models() -> None:
    merge = merge_by("ties", {"density": 0.5}, n_models=2, has_base=True)
    assert merge.method is methods["ties"] and merge.parameters["density"] == 0.5
    assert set(merge.parameters) == {each.name for each in methods["ties"].parameters}
    assert merge_by(methods["linear"], {}, n_models=3, has_base=False).method is methods["linear"]
    for name, n_models, has_base, fault in (
        ("linear", 0, False, "there are no models to merge"),
        ("linear", 2, True, "linear has no use for a base"),
        ("ties", 2, False, "ties merges changes from a base, and there is none"),
        ("slerp", 3, False, "slerp merges 2 models, got 3"),
    ):
        with pytest.raises(RecipeError, match=fault):
            merge_by(name, {}, n_models=n_models, has_base=has_base)


def test_a_counter_is_known_by_its_last_name() -> None:
    assert is_counter("num_batches_tracked") and is_counter("a.bn.num_batches_tracked")
    assert not is_counter("num_batches_tracked.weight") and not is_counter("my_num_batches_tracked")


def test_differing_shapes_are_shown_up_to_six_with_the_ways_out() -> None:
    narrow, wide = (forms(**{f"w{i}": (i, size) for i in range(9)}) for size in (2, 3))
    with pytest.raises(IncompatibleModelsError) as error:
        check_forms([("cats", narrow), ("dogs", narrow), ("wide", wide)])
    lines = str(error.value).splitlines()
    assert lines[0] == "cats and wide differ in the shape of 9 of 9 tensors"
    assert lines[1] == "  w0    cats [0, 2]    wide [0, 3]"
    assert lines[6].startswith("  w5 ") and lines[7] == "  ... 3 more"
    assert lines[8] == "  help: merging needs one architecture and equal widths"
    assert 'alnico.fuse([a, b], "average")' in lines[9]
    assert "alnico.distill(teacher, student, data=...)" in lines[10]


def test_shapes_stand_below_each_other() -> None:
    with pytest.raises(IncompatibleModelsError) as error:
        check_forms([("a", forms(w=(2,), longer=(3,))), ("b", forms(w=(4,), longer=(5,)))])
    assert "  w         a [2]    b [4]\n  longer    a [3]    b [5]\n" in str(error.value)


TOKENS = {"embed": 0, "lm_head": 0, "bias": 1}


def test_models_that_differ_in_tokens_alone_are_told_so_with_the_way_out() -> None:
    cats, dogs, more = (
        forms(embed=(n, 8), w=(4, 4), lm_head=(n, 8)) for n in (32000, 32002, 32064)
    )
    models = [("cats", cats), ("dogs", dogs), ("cows", cats), ("more", more)]
    with pytest.raises(IncompatibleModelsError) as error:
        check_forms(models, tokens=TOKENS)
    first, second, *way = str(error.value).splitlines()
    sizes = "have vocabularies of different size: 32000 and 32002 tokens (2 tensors)"
    assert first == f"cats and dogs {sizes}"
    assert second == "cats and more " + sizes.replace("32002", "32064")
    assert "--tokenizer union" in way[1] and "tokenizer: union" in way[2] and len(way) == 3
    check_forms(models, tokens=TOKENS, join_tokens=True)
    with pytest.raises(IncompatibleModelsError, match=r"differ in the shape of 2 of 3 tensors"):
        check_forms(models)


def test_other_shapes_are_faults_whether_tokens_are_joined_or_not() -> None:
    cats = forms(embed=(5, 8), bias=(1, 5), w=(4, 4))
    for other, unlike in (
        (forms(embed=(7, 8), bias=(1, 7), w=(4, 5)), "w"),
        (forms(embed=(7, 9), bias=(1, 7), w=(4, 4)), "embed"),
        (forms(embed=(7, 8), bias=(7,), w=(4, 4)), "bias"),
    ):
        models = [("cats", cats), ("dogs", other)]
        with pytest.raises(
            IncompatibleModelsError, match=r"(?s)shape of [23] of 3 .*\n  help: merging"
        ):
            check_forms(models, tokens=TOKENS)
        with pytest.raises(IncompatibleModelsError, match=rf"shape of 1 of 3 tensors\n  {unlike} "):
            check_forms(models, tokens=TOKENS, join_tokens=True)


def test_a_joined_plan_is_as_long_as_its_first_model() -> None:
    models = [("cats", forms(embed=(5, 8))), ("dogs", forms(embed=(7, 8)))]
    (step,) = plan_alike(models, lambda _: LINEAR, tokens=TOKENS, join_tokens=True).steps
    assert step.form.shape == (5, 8) and len(step.inputs) == 2


def test_missing_tensors_are_named_on_both_sides_and_beside_other_faults() -> None:
    models = [("a", forms(x=(1,), y=(2,))), ("b", forms(x=(1,), z=(2,))), ("c", forms(x=(9,)))]
    with pytest.raises(IncompatibleModelsError) as error:
        check_forms(models)
    for fault in (
        "only a has y; b has not",
        "only b has z; a has not",
        "only a has y; c has not",
        "a and c differ in the shape of 1 of 2 tensors",
    ):
        assert fault in str(error.value)


def test_floats_of_several_dtypes_need_one_that_is_asked_for() -> None:
    single, double, whole = ({"w": Form(dtype, (2,))} for dtype in ("F32", "F64", "I32"))
    with pytest.raises(IncompatibleModelsError) as error:
        check_forms([("a", single), ("b", double)])
    said = str(error.value)
    assert "differ in the dtype of 1 of 1 tensors\n  w    a float32    b float64" in said
    assert "help: ask for one dtype, e.g. dtype='float32'" in said
    check_forms([("a", single), ("b", double)], same_dtypes=False)
    with pytest.raises(IncompatibleModelsError, match="a float32    b int32"):
        check_forms([("a", single), ("b", whole)], same_dtypes=False)


def test_some_names_are_shown_and_others_counted() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some([*"abcdefgh"], between="; ") == "a; b; c; d; e; f; ... 2 more"
