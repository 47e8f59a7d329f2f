from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alnico.errors import IncompatibleModelsError, RecipeError
from alnico.merging.steps import Exact, Form, Input, Step
from alnico.methods import Method
from alnico.recipe.mergekit import Planned
from alnico.recipe.mergekit.layout import lay_out
from alnico.recipe.mergekit.models import describe
from alnico.recipe.mergekit.schema import WHOLE, MergekitRecipe, Reference
from alnico.recipe.mergekit.stepping import Stepper

Plan = Callable[..., Planned]
Llama = Callable[..., Any]

TWO = "models: [{model: a}, {model: b}]\n"
UP = "model.layers.0.mlp.up_proj.weight"


def recipe(method: str, more: str = "", *, models: str = TWO) -> str:
    return f"merge_method: {method}\n{models}{more}"


def step(planned: Planned, name: str = UP) -> Step:
    return next(step for step in planned.plan.steps if step.name == name)


def method_of(found: Step) -> str:
    assert isinstance(found.method, Method)
    return found.method.name


def test_slerp_goes_from_the_base_to_the_other(plan: Plan, llama: Llama) -> None:
    planned = plan(recipe("slerp", "base_model: b\nparameters: {t: 0.2}"), a=llama(), b=llama())
    found = step(planned)
    assert [input.model for input in found.inputs] == [1, 0] and found.base is None
    assert (method_of(found), found.parameters) == ("slerp", {"t": 0.2})


def test_changes_are_taken_from_the_base_which_is_no_input(plan: Plan, llama: Llama) -> None:
    text = recipe("dare_ties", "base_model: c\nparameters: {weight: 0.5, density: 0.6}")
    found = step(plan(text, a=llama(), b=llama(), c=llama()))
    assert found.inputs == (Input(0, UP), Input(1, UP)) and found.base == Input(2, UP)
    assert found.parameters == {
        "weight": [0.5, 0.5],
        "density": [0.6, 0.6],
        "scale": 1.0,
        "normalize": "none",
        "rescale": "l1",
    }


def test_a_base_is_one_more_model_where_it_does_not_count(plan: Plan, llama: Llama) -> None:
    text = recipe("linear", "base_model: c\nparameters: {weight: 1}")
    found = step(plan(text, a=llama(), b=llama(), c=llama()))
    assert len(found.inputs) == 3 and found.parameters == {"weight": [1.0] * 3, "normalize": True}


def test_passthrough_copies_unless_it_scales_or_converts(plan: Plan, llama: Llama) -> None:
    one = "models: [{model: a}]\n"
    scaled = "parameters: {scale: {filter: up_proj, value: [0, 1]}}"
    planned = plan(recipe("passthrough", scaled, models=one), a=llama())
    assert step(planned, "lm_head.weight").rule == "copy"
    last = step(planned, "model.layers.3.mlp.up_proj.weight")
    assert (step(planned).parameters, last.parameters) == ({"scale": 0.0}, {"scale": 1.0})
    found = step(plan(recipe("passthrough", "dtype: bfloat16", models=one), a=llama()))
    assert (found.rule, found.form.dtype, found.parameters) == ("merge", "BF16", {"scale": 1.0})


@pytest.mark.parametrize(
    ("more", "dtype"),
    [
        ("", "F32"),
        ("dtype: float16", "F16"),
        ("out_dtype: bfloat16", "BF16"),
        ("dtype: float64\nout_dtype: float16", "F16"),
    ],
)
def test_the_dtype_is_asked_for_or_that_in_which_inputs_meet(
    plan: Plan, llama: Llama, more: str, dtype: str
) -> None:
    text = recipe("linear", f"parameters: {{weight: 1}}\n{more}")
    planned = plan(text, a=llama(dtype="BF16"), b=llama(dtype="F16"))
    assert {step.form.dtype for step in planned.plan.steps} == {dtype}


def test_mergekits_own_arithmetic_has_its_own_words(plan: Plan, llama: Llama, read: Any) -> None:
    text = recipe("ties", "base_model: b\nparameters: {weight: 1, density: [0, 1]}\ndtype: float16")
    parsed = read(text)
    models = {one: describe(str(one), llama()) for one in parsed.models}
    names = {one: list(model.forms) for one, model in models.items()}
    ties = Exact("ties", lambda tensors, base, given: tensors[0])
    stepper = Stepper(parsed, models, {"ties": ties})
    found = next(
        made
        for target in lay_out(parsed.modules[WHOLE], models, names)
        if (made := stepper.step(target)) is not None and made.name == UP
    )
    assert found.method is ties and found.work_dtype == "F16"
    assert found.parameters == {
        "int8_mask": False,
        "normalize": True,
        "rescale": False,
        "lambda": 1.0,
        "weight": [1.0],
        "density": [0.0],
    }


def test_numbers_without_a_mean_are_not_merged(plan: Plan, llama: Llama) -> None:
    more = {"norm.num_batches_tracked": Form("I64", ()), "mask": Form("BOOL", (4,))}
    text = recipe("linear", "parameters: {weight: 1}\ndtype: bfloat16")
    planned = plan(text, a=llama(more=more), b=llama(more=more))
    counter, mask = step(planned, "norm.num_batches_tracked"), step(planned, "mask")
    assert (counter.rule, counter.form, len(counter.inputs)) == ("largest", Form("I64", ()), 2)
    assert (mask.rule, mask.form) == ("equal", Form("BOOL", (4,)))


def test_a_tensor_that_only_one_has_is_copied_where_mergekit_does(plan: Plan, llama: Llama) -> None:
    more = {"extra.weight": Form("F32", (2,))}
    base = "base_model: a\nparameters: {t: 0.5}"
    for with_it, without in (("a", "b"), ("b", "a")):
        models = {with_it: llama(more=more), without: llama()}
        found = step(plan(recipe("slerp", base), **models), "extra.weight")
        assert (found.rule, found.inputs) == ("copy", (Input(int(with_it == "b"), "extra.weight"),))
    nearswap = recipe("nearswap", base)
    assert step(plan(nearswap, a=llama(more=more), b=llama()), "extra.weight").rule == "copy"
    with pytest.raises(IncompatibleModelsError, match=r"not in a: extra\.weight"):
        plan(nearswap, a=llama(), b=llama(more=more))


def test_model_stock_keeps_the_base_where_too_few_have_a_tensor(plan: Plan, llama: Llama) -> None:
    more = {"extra.weight": Form("F32", (2,))}
    text = recipe("model_stock", "base_model: c")
    planned = plan(text, a=llama(), b=llama(more=more), c=llama(more=more))
    assert step(planned, "extra.weight").inputs == (Input(2, "extra.weight"),)
    assert method_of(step(planned)) == "model_stock"


def test_a_tied_head_is_merged_as_the_embedding_that_holds_it(plan: Plan, llama: Llama) -> None:
    text = recipe("linear", "parameters: {weight: 1}")
    planned = plan(text, a=llama(head=False), b=llama(head=True))
    found = step(planned, "lm_head.weight")
    assert found.inputs == (Input(0, "model.embed_tokens.weight"), Input(1, "lm_head.weight"))
    assert planned.config_changes == {("tie_word_embeddings",): False}
    both = plan(text, a=llama(head=False), b=llama(head=False))
    assert all(one.name != "lm_head.weight" for one in both.plan.steps) and not both.config_changes


def test_one_model_with_a_base_is_what_multislerp_gives(plan: Plan, llama: Llama) -> None:
    one = "models: [{model: a}]\nbase_model: b\nparameters: {weight: 1}\n"
    planned = plan(recipe("multislerp", models=one), a=llama(), b=llama())
    assert {(found.rule, found.inputs[0].model) for found in planned.plan.steps} == {("copy", 0)}
    assert {dropped.reason for dropped in planned.plan.dropped} == {"another model's is taken"}


@pytest.mark.parametrize("method", ["ties", "dare_linear", "sce", "ram"])
def test_a_base_alone_is_itself(plan: Plan, llama: Llama, method: str) -> None:
    planned = plan(recipe(method, "base_model: a", models="models: [{model: a}]\n"), a=llama())
    assert {found.rule for found in planned.plan.steps} == {"copy"}


def test_shapes_that_differ_are_told_with_the_way_out(plan: Plan, llama: Llama) -> None:
    text = recipe("linear", "parameters: {weight: 1}")
    with pytest.raises(IncompatibleModelsError, match="differ in the form of 15 tensors"):
        plan(text, a=llama(), b=llama(width=9))
    with pytest.raises(IncompatibleModelsError) as error:
        plan(text, a=llama(), b=llama(tokens=18))
    assert "the number of tokens of 2 tensors\n  model.embed_tokens.weight    a F32" in str(
        error.value
    )
    planned = plan(f"{text}\ntokenizer_source: union", a=llama(), b=llama(tokens=18))
    assert planned.vocabulary == {"model.embed_tokens.weight": 0, "lm_head.weight": 0}


def test_a_parameter_that_nothing_sets_is_named_with_model_and_tensor(
    plan: Plan, llama: Llama
) -> None:
    text = "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}, {model: b}]\n"
    only_mlp = "parameters: {weight: {filter: mlp, value: 1}}"
    with pytest.raises(RecipeError, match="linear needs weight, and nothing sets it for b: model"):
        plan(text, a=llama(), b=llama())
    with pytest.raises(RecipeError, match=r"for b: model\.embed_tokens\.weight, .* 5 more"):
        plan(text + only_mlp, a=llama(), b=llama())


def test_a_value_out_of_its_range_is_told_with_the_first_tensor(plan: Plan, llama: Llama) -> None:
    text = recipe("ties", "base_model: b\nparameters: {weight: 1, density: 20}")
    with pytest.raises(RecipeError, match=r"density .* got 20: 20 % is 0\.2 \(model\.embed_t"):
        plan(text, a=llama(), b=llama())
    zero = recipe("linear", "parameters: {weight: 0}")
    with pytest.raises(
        RecipeError, match=r"the weights sum to 0, got \[0\.0, 0\.0\]: give weights"
    ):
        plan(zero, a=llama(), b=llama())
    assert plan(f"{zero}\n".replace("0}", "0, normalize: false}"), a=llama(), b=llama())


NUMBERS = st.floats(0.1, 1.0).map(lambda x: round(x, 3))
VALUES = st.one_of(NUMBERS, st.lists(NUMBERS, min_size=1, max_size=4))
RULES = st.lists(
    st.fixed_dictionaries(
        {"value": VALUES}, optional={"filter": st.sampled_from(["mlp", "q_proj"])}
    ),
    min_size=1,
    max_size=3,
)
PARAMETERS = st.fixed_dictionaries(
    {}, optional={"weight": st.one_of(VALUES, RULES), "lambda": VALUES, "density": RULES}
)


@pytest.fixture(scope="module")
def kit() -> Any:
    pytest.importorskip("mergekit.config")
    import mergekit.config
    import mergekit.merge_methods
    import mergekit.parameter_resolver

    return mergekit


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(levels=st.tuples(*[PARAMETERS] * 4))
def test_every_parameter_of_every_tensor_is_the_one_that_mergekit_finds(
    kit: Any, read: Any, llama: Llama, levels: tuple[dict[str, Any], ...]
) -> None:
    source, other, part, top = levels
    sources: list[dict[str, Any]] = [
        {"model": name, "layer_range": [1, 4], "parameters": given}
        for name, given in (("a", source), ("b", other), ("base", {}))
    ]
    raw = {
        "merge_method": "ties",
        "base_model": "base",
        "slices": [{"sources": sources, "parameters": part}],
        "parameters": {**top, "weight": top.get("weight", 0.5)},
    }
    parsed: MergekitRecipe = read(yaml.safe_dump(raw))
    models = {one: describe(str(one), llama(4)) for one in parsed.models}
    names = {one: list(model.forms) for one, model in models.items()}
    stepper = Stepper(parsed, models, {"ties": Exact("ties", lambda t, b, p: t[0])})
    config = kit.config.MergeConfiguration.model_validate(raw)
    theirs = [one.model for one in config.slices[0].sources]
    for target in lay_out(parsed.modules[WHOLE], models, names):
        made = stepper.step(target)
        reader = kit.config.ConfigReader(config=config, slice_out=config.slices[0], t=target.t)
        try:
            shared, own = kit.parameter_resolver.resolve_parameters(
                kit.merge_methods.get("ties").spec,
                tensor_name=target.name,
                inputs=dict(zip(theirs, target.origins, strict=True)),
                sources=reader.parameter_sources,
                base_model=theirs[2],
                t=target.t,
            )
        except RuntimeError:
            assert made is None
            continue
        assert made is not None
        expected = shared | {
            name: [own[one][name] for one in theirs[:2]] for name in ("weight", "density")
        }
        assert made.parameters == expected, (target.name, Reference("a"))
