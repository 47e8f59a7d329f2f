from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from alnico.errors import IncompatibleModelsError, RecipeError, UnknownNameError
from alnico.merging import merge_modules, merge_states
from alnico.methods import Method
from alnico.types import StateDict


def made(function: Callable[..., Tensor], sees: str) -> Method:
    """A method that stays out of the registry."""
    return Method("made", function, sees, (), "Test.", None, None, False, False)  # type: ignore[arg-type]


add_deltas = made(lambda deltas: deltas.sum(0), "deltas")
overflow = made(lambda weights: weights.sum(0) * 1e5, "weights")


def state(**changed: Tensor) -> StateDict:
    return {
        "layer.weight": torch.randn(3, 4),
        "layer.bias": torch.randn(3, dtype=torch.float64),
        "half": torch.randn(5).to(torch.bfloat16),
        "scale": torch.randn(()),
        "empty": torch.randn(0, 2),
        "steps": torch.tensor(7),
        "mask": torch.tensor([True, False]),
        **changed,
    }


def test_each_tensor_is_merged_in_float32_and_keeps_its_name_dtype_and_shape() -> None:
    models = [state(), state(), state()]
    weight = torch.tensor([1.0, 2.0, 3.0])
    merged = merge_states(models, weight=weight)
    assert list(merged) == list(models[0])
    for name, tensor in merged.items():
        first = models[0][name]
        assert (tensor.dtype, tensor.shape) == (first.dtype, first.shape)
        if not first.is_floating_point():
            assert torch.equal(tensor, first)
            continue
        parts = [m[name].double() * w for m, w in zip(models, weight.tolist(), strict=True)]
        exact = torch.stack(parts).sum(0) / 6
        rounded = exact.float().to(first.dtype) if first.dtype != torch.float64 else exact
        torch.testing.assert_close(tensor, rounded)


def test_deltas_are_taken_from_the_base_and_added_back() -> None:
    base, a, b = state(), state(), state()
    merged = merge_states([a, b], add_deltas, base=base)
    for name in ("layer.weight", "layer.bias", "scale"):
        torch.testing.assert_close(merged[name], a[name] + b[name] - base[name])


def test_a_base_is_asked_for_where_needed_and_refused_where_useless() -> None:
    with pytest.raises(RecipeError, match="made merges changes from a base, and there is none"):
        merge_states([state(), state()], add_deltas)
    with pytest.raises(RecipeError, match="linear has no use for a base"):
        merge_states([state(), state()], base=state())


def test_inputs_are_not_changed_and_share_no_memory_with_the_result() -> None:
    models = [state(), state()]
    before = copy.deepcopy(models)
    for one in (models, models[:1]):
        merged = merge_states(one)
        for tensor in merged.values():
            tensor.zero_()
    for model, old in zip(models, before, strict=True):
        assert all(torch.equal(model[name], old[name]) for name in old)


def test_the_result_is_differentiable_in_the_weights_alone() -> None:
    module = nn.Linear(2, 2)
    states = [dict(module.named_parameters()), dict(nn.Linear(2, 2).named_parameters())]
    weight = torch.tensor([0.3, 0.7], requires_grad=True)
    merged = merge_states(states, weight=weight)
    merged["weight"].sum().backward()
    a, b = (float(s["weight"].sum().detach()) for s in states)
    torch.testing.assert_close(weight.grad, torch.tensor([0.7 * (a - b), 0.3 * (b - a)]))
    assert module.weight.grad is None


def test_missing_tensors_are_named_on_both_sides() -> None:
    other = state(extra=torch.ones(1))
    del other["scale"]
    with pytest.raises(IncompatibleModelsError) as error:
        merge_states([state(), other])
    assert "only model 1 has scale; model 2 has not" in str(error.value)
    assert "only model 2 has extra; model 1 has not" in str(error.value)
    with pytest.raises(IncompatibleModelsError, match="only base has extra; model 1 has not"):
        merge_states([state()], add_deltas, base=state(extra=torch.ones(1)))


def test_differing_shapes_are_shown_up_to_six_with_the_way_out() -> None:
    narrow, wide = ({f"w{i}": torch.ones(i, size) for i in range(9)} for size in (2, 3))
    with pytest.raises(IncompatibleModelsError) as error:
        merge_states([narrow, narrow, wide])
    text = str(error.value)
    assert "model 1 and model 3 differ in the shape or dtype of 9 of 9 tensors" in text
    assert "w0 is float32 [0, 2] in model 1 and float32 [0, 3] in model 3" in text
    assert "w5" in text and "w6" not in text and "... 3 more" in text
    assert "help: merging needs equal widths" in text


def test_a_dtype_or_an_integer_that_differs_is_named() -> None:
    with pytest.raises(IncompatibleModelsError, match=r"scale is float32 .* and float64"):
        merge_states([state(), state(scale=torch.tensor(1.0, dtype=torch.float64))])
    with pytest.raises(IncompatibleModelsError, match=r"integer tensors differ .*: steps, mask"):
        merge_states([state(), state(steps=torch.tensor(8), mask=torch.tensor([True, True]))])


def test_values_that_overflow_are_an_error_but_nan_that_was_there_stays() -> None:
    half = [{"x": torch.tensor([1.0, 2.0]).half()} for _ in range(2)]
    with pytest.raises(IncompatibleModelsError, match="made makes 2 values of x NaN or infinite"):
        merge_states(half, overflow)
    broken = [{"x": torch.tensor([torch.nan, 2.0])}, {"x": torch.tensor([1.0, 4.0])}]
    merged = merge_states(broken)["x"]
    assert merged.isnan().tolist() == [True, False] and merged[1] == 3.0
    huge = {"x": torch.tensor([1e300], dtype=torch.float64)}
    assert merge_states([huge, huge])["x"].item() == 1e300


def test_a_method_that_changes_the_shape_is_refused() -> None:
    with pytest.raises(IncompatibleModelsError, match=r"made made \[\] of x, which is \[2\]"):
        merge_states([{"x": torch.ones(2)}], made(lambda weights: weights.sum(), "weights"))


def test_parameters_and_names_are_checked_before_anything_else() -> None:
    with pytest.raises(RecipeError, match="did you mean 'weight'"):
        merge_states([{}, {"x": torch.ones(1)}], weigth=1.0)
    with pytest.raises(UnknownNameError, match="did you mean 'linear'"):
        merge_states([state()], "linera")
    with pytest.raises(RecipeError, match="there are no models to merge"):
        merge_modules([])


def test_modules_merge_into_a_new_one_in_the_mode_of_the_first() -> None:
    modules = [nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).eval() for _ in range(2)]
    before = copy.deepcopy(modules[0].state_dict())
    merged = merge_modules(modules, weight=[1.0, 3.0])
    assert not merged.training and merged is not modules[0]
    for name, tensor in merged.state_dict().items():
        if tensor.is_floating_point():
            a, b = (module.state_dict()[name] for module in modules)
            torch.testing.assert_close(tensor, (a + 3 * b) / 4)
        assert torch.equal(modules[0].state_dict()[name], before[name])


def test_modules_are_merged_onto_a_base_module() -> None:
    base, a, b = (nn.Linear(2, 2) for _ in range(3))
    merged = merge_modules([a, b], add_deltas, base=base)
    torch.testing.assert_close(merged.weight, a.weight + b.weight - base.weight)
