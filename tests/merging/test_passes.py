from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import pytest
import torch
from torch import Tensor

from alnico.errors import IncompatibleModelsError
from alnico.merging.passes import Merged, run
from alnico.merging.plan import make_plan, read_forms
from alnico.methods import Method, methods
from alnico.methods._method import Value
from alnico.types import StateDict

Made: TypeAlias = Callable[..., Method]


def merge(
    method: Method,
    states: Sequence[StateDict],
    base: Mapping[str, Tensor] | None = None,
    **parameters: Value,
) -> Merged:
    models = [(f"model {i}", read_forms("model", state)) for i, state in enumerate(states, start=1)]
    root = None if base is None else ("base", read_forms("base", base))
    plan = make_plan(models, method, parameters, base=root)
    return run(plan, [*states, *([] if base is None else [base])])


def state(**changed: Tensor) -> StateDict:
    return {
        "layer.weight": torch.randn(3, 4),
        "layer.bias": torch.randn(3, dtype=torch.float64),
        "half": torch.randn(5).to(torch.bfloat16),
        "tiny": torch.randn(5).to(torch.float8_e4m3fn),
        "scale": torch.randn(()),
        "empty": torch.randn(0, 2),
        "steps": torch.tensor(7),
        "mask": torch.tensor([True, False]),
        "phase": torch.ones(2) * 1j,
        **changed,
    }


def test_each_tensor_is_merged_in_float32_and_keeps_its_name_dtype_and_shape() -> None:
    models = [state(), state(), state()]
    merged = merge(methods["linear"], models, weight=[1.0, 2.0, 3.0]).tensors
    assert list(merged) == list(models[0])
    for name, tensor in merged.items():
        first = models[0][name]
        assert (tensor.dtype, tensor.shape) == (first.dtype, first.shape)
        if not first.is_floating_point():
            assert torch.equal(tensor, first)
            continue
        parts = [m[name].double() * w for m, w in zip(models, (1, 2, 3), strict=True)]
        exact = torch.stack(parts).sum(0) / 6
        rounded = exact.float().to(first.dtype) if first.dtype != torch.float64 else exact
        torch.testing.assert_close(tensor.double(), rounded.double())


def test_deltas_are_taken_from_the_base_and_added_back(made: Made) -> None:
    base, a, b = state(), state(), state()
    merged = merge(made(lambda deltas: deltas.sum(0), "deltas"), [a, b], base).tensors
    for name in ("layer.weight", "layer.bias", "scale"):
        torch.testing.assert_close(merged[name], a[name] + b[name] - base[name])


def test_an_integer_that_differs_is_named_in_models_and_base(made: Made) -> None:
    linear, add = methods["linear"], made(lambda deltas: deltas.sum(0), "deltas")
    other = state(steps=torch.tensor(8), mask=torch.tensor([True, True]))
    with pytest.raises(IncompatibleModelsError, match=r"integer tensors differ .*: steps, mask"):
        merge(linear, [state(), other])
    with pytest.raises(IncompatibleModelsError, match=r"integer tensors differ .*: steps, mask"):
        merge(add, [state()], other)


def test_of_a_norms_counter_the_largest_is_taken_and_told() -> None:
    counts = [{"bn.num_batches_tracked": torch.tensor(n), "w": torch.ones(1)} for n in (3, 9, 4)]
    done = merge(methods["linear"], counts)
    assert done.tensors["bn.num_batches_tracked"] == 9
    assert done.counters == ["bn.num_batches_tracked"]
    alike = merge(methods["linear"], counts[:1] * 2)
    assert alike.counters == [] and alike.tensors["bn.num_batches_tracked"] == 3


def test_values_that_overflow_are_an_error_but_nan_that_was_there_stays(
    made: Made, half: StateDict
) -> None:
    overflow = made(lambda weights: weights.sum(0) * 1e5)
    with pytest.raises(IncompatibleModelsError, match="made makes 2 values of x NaN or infinite"):
        merge(overflow, [half, half])
    broken = [{"x": torch.tensor([torch.nan, 2.0])}, {"x": torch.tensor([1.0, 4.0])}]
    merged = merge(methods["linear"], broken).tensors["x"]
    assert merged.isnan().tolist() == [True, False] and merged[1] == 3.0
    huge = {"x": torch.tensor([1e300], dtype=torch.float64)}
    assert merge(methods["linear"], [huge, huge]).tensors["x"].item() == 1e300


@pytest.mark.parametrize(
    ("function", "what"),
    [(lambda weights: weights.sum(), r"\[\]"), (lambda weights: 3.0, "float")],
)
def test_a_method_that_gives_something_else_is_refused(
    made: Made, function: Callable[..., object], what: str
) -> None:
    with pytest.raises(IncompatibleModelsError, match=rf"made made {what} of x, which is \[2\]"):
        merge(made(function), [{"x": torch.ones(2)}])


def test_random_numbers_follow_from_seed_and_name_alone() -> None:
    base, tuned = (dict.fromkeys(("x", "y"), torch.full((1000,), value)) for value in (0.0, 1.0))
    forms = read_forms("model", tuned)

    def dare(seed: int) -> StateDict:
        models, root = [("model", forms)], ("base", forms)
        plan = make_plan(models, "dare_linear", {"density": 0.5}, base=root, seed=seed)
        return run(plan, [tuned, base]).tensors

    one, again, other = dare(1), dare(1), dare(2)
    assert torch.equal(one["x"], again["x"]) and torch.equal(one["y"], again["y"])
    assert not torch.equal(one["x"], other["x"]) and not torch.equal(one["x"], one["y"])
    assert set(one["x"].unique().tolist()) == {0.0, 2.0}
