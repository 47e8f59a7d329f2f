from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from alnico.merging.steps import Form
from alnico.recipe.mergekit import Planned
from alnico.recipe.mergekit.remarks import copied_modules, idle_filters
from alnico.recipe.mergekit.schema import WHOLE, MergekitRecipe, Module

Plan = Callable[..., Planned]
Llama = Callable[..., Any]

TWO = "models: [{model: a}, {model: b}]\nbase_model: b\n"


def test_a_filter_that_fits_nothing_is_told_with_its_line(
    read: Callable[..., MergekitRecipe],
) -> None:
    text = (
        "merge_method: linear\nmodels:\n- model: a\n  parameters:\n"
        "    weight: [{filter: self_atn, value: 1}, {filter: mlp, value: 1}, {value: 0}]\n"
    )
    assert idle_filters(read(text), ["layers.0.self_attn.w", "layers.0.mlp.w"]) == [
        "recipe.yml:5: the filter 'self_atn' is in no tensor's name: did you mean self_attn?"
    ]


def test_the_donor_is_told_where_no_base_says_it(plan: Plan, llama: Llama) -> None:
    text = "merge_method: karcher\nmodels: [{model: b}, {model: a}]\n"
    planned = plan(text, a=llama(), b=llama())
    assert planned.config_donor == 0 and planned.plan.models == ("b", "a")
    assert any(line.startswith("config and tokenizer come from b") for line in planned.said)
    based = plan(f"{text}base_model: a\n", a=llama(), b=llama())
    assert based.config_donor == 1 and not any("come from" in line for line in based.said)


@pytest.mark.parametrize(
    ("method", "more", "dtype", "said"),
    [
        ("ties", "parameters: {weight: 1}", "BF16", ["computed in float32 and rounded once"]),
        ("ties", "parameters: {weight: 1}", "F32", []),
        ("slerp", "parameters: {t: 0.5}", "BF16", []),
        ("dare_linear", "parameters: {weight: 1}", "F32", ["random numbers are alnico's"]),
        ("arcee_fusion", "", "F32", []),
        (
            "arcee_fusion",
            "",
            "BF16",
            ["the result is BF16: mergekit's arcee_fusion writes float32", "computed in float32"],
        ),
    ],
)
def test_other_arithmetic_is_told_where_it_is_other(
    plan: Plan, llama: Llama, method: str, more: str, dtype: str, said: list[str]
) -> None:
    planned = plan(
        f"merge_method: {method}\n{TWO}{more}", a=llama(dtype=dtype), b=llama(dtype=dtype)
    )
    assert len(planned.said) == len(said)
    for line, start in zip(planned.said, said, strict=True):
        assert line.startswith(start)


def test_how_quantiles_are_taken_is_told_of_large_tensors(plan: Plan, llama: Llama) -> None:
    more = {"large.weight": Form("F32", (1001, 1000))}
    planned = plan(f"merge_method: arcee_fusion\n{TWO}", a=llama(more=more), b=llama(more=more))
    said = "quantiles are those of evenly spaced values"
    assert any(line.startswith(said) for line in planned.said)


def test_exact_results_are_float32_where_mergekits_are_and_this_is_told(
    plan: Plan, llama: Llama
) -> None:
    models = {"a": llama(dtype="BF16"), "b": llama(dtype="BF16")}
    text = f"merge_method: ramplus_tl\n{TWO}"
    planned = plan(text, exact=True, **models)
    merged = [step for step in planned.plan.steps if step.rule == "merge"]
    assert {step.form.dtype for step in merged} == {"F32"}
    assert "what ramplus_tl makes is float32, as mergekit writes it" in planned.said[0]
    asked = plan(f"{text}out_dtype: bfloat16\n", exact=True, **models)
    assert {step.form.dtype for step in asked.plan.steps} == {"BF16"} and not asked.said


def test_more_models_in_the_last_slice_are_told(plan: Plan, llama: Llama) -> None:
    text = """\
merge_method: linear
base_model: a
parameters: {weight: 1}
slices:
  - sources: [{model: a, layer_range: [0, 2]}]
  - sources: [{model: b, layer_range: [0, 2]}, {model: a, layer_range: [2, 4]}]
"""
    (line,) = plan(text, a=llama(), b=llama()).said
    assert line.startswith("what comes after the layers is made of all models of the last slice")


def test_gradients_over_files_take_their_first_value_and_say_so(
    plan: Plan, header: Callable[..., Any]
) -> None:
    file = header({f"layers.{i}.w": Form("F32", ()) for i in range(3)}, None, None)
    text = "merge_method: linear\nbase_model: a\nmodels: [{model: a}, {model: b}]\n"
    planned = plan(f"{text}parameters: {{weight: [0.25, 0.75]}}", a=file, b=file)
    assert {tuple(s.parameters["weight"]) for s in planned.plan.steps} == {(0.25, 0.25)}  # type: ignore[arg-type]
    assert planned.said == (
        "gradients take their first values: files by themselves are merged without layers",
    )


def test_copied_tensors_are_told_with_the_first() -> None:
    modules = {"text_decoder": Module(()), "visual": Module(())}
    (line,) = copied_modules(modules, ["audio.w", "audio.b"], "cats")
    assert line.startswith(
        "2 tensors outside the modules text_decoder and visual are copied from c"
    )
    assert copied_modules({WHOLE: Module(())}, [], "cats") == []
