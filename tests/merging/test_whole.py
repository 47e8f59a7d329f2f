from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from torch import Tensor

from alnico.errors import IncompatibleModelsError
from alnico.merging.steps import Exact, Form, Input, Step
from alnico.merging.whole import merge_whole, play
from alnico.methods import Method, methods

INPUTS = (Input(0, "w"), Input(1, "w"))


def whole(method: Method | Exact, tensors: Sequence[Tensor], dtype: str, **rest: object) -> Tensor:
    """With the last of three tensors as the base."""
    base = Input(2, "w") if len(tensors) == 3 else None
    form = Form(dtype, tuple(tensors[0].shape))
    step = Step("w", form, "merge", INPUTS, base, method, **rest)  # type: ignore[arg-type]
    return merge_whole(step, lambda each: tensors[each.model], seed=0)


def test_narrow_values_are_merged_in_float32_and_rounded_once() -> None:
    a, b, base = (torch.randn(4, 5).bfloat16() for _ in range(3))
    found = whole(methods["task_arithmetic"], [a, b, base], "BF16")
    exact = a.double() + b.double() - base.double()
    assert torch.equal(found, exact.float().bfloat16())
    wide = whole(methods["linear"], [a, b], "F32")
    assert torch.equal(wide, ((a.double() + b.double()) / 2).float())


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 1, 0]])
def test_of_mixed_dtypes_the_widest_is_computed_in(order: list[int]) -> None:
    tiny = 2.0**-40
    given = [torch.ones(1), torch.full((1,), 1 + tiny, dtype=torch.float64), torch.ones(1).half()]
    tensors = [given[i] for i in order]
    a, b, base = (tensor.double() for tensor in tensors)
    found = whole(methods["task_arithmetic"], tensors, "F64")
    assert found == a + b - base and found != found.float()


def test_values_of_one_byte_are_merged_as_float32() -> None:
    tensors = [torch.randn(50).to(kind) for kind in (torch.float8_e4m3fn, torch.float8_e5m2)]
    found = play(methods["linear"], {}, tensors, None, name="w")
    torch.testing.assert_close(found, (tensors[0].float() + tensors[1].float()) / 2)


@pytest.mark.parametrize(("work", "expected"), [(None, torch.float32), ("F64", torch.float64)])
def test_an_exact_method_is_given_whole_tensors_of_one_dtype(
    work: str | None, expected: torch.dtype
) -> None:
    given: list[Tensor] = []

    def first(models: Sequence[Tensor], base: Tensor | None, settings: Mapping) -> Tensor:
        assert base is not None
        given.extend([*models, base])
        return models[0] * settings["t"]

    tensors = [torch.randn(3).half(), torch.randn(3), torch.randn(3).bfloat16()]
    exact = Exact("first", first)
    found = whole(exact, tensors, "F16", work_dtype=work, parameters={"t": 2.0})
    assert [tensor.dtype for tensor in given] == [expected] * 3
    assert torch.equal(found, tensors[0] * 2)


@pytest.mark.parametrize(
    ("function", "what"),
    [(lambda weights: weights.sum(), r"\[\]"), (lambda weights: 3.0, "float")],
)
def test_a_method_that_gives_something_else_is_refused(
    made: Callable[..., Method], function: Callable[..., object], what: str
) -> None:
    with pytest.raises(IncompatibleModelsError, match=rf"made made {what} of w, which is \[2\]"):
        whole(made(function), [torch.ones(2)] * 2, "F32")
    exact = Exact("exact", lambda models, base, settings: models[0][:1])
    with pytest.raises(IncompatibleModelsError, match=r"exact made \[1\] of w, which is \[2\]"):
        whole(exact, [torch.ones(2)] * 2, "F32")


def test_an_error_of_ours_keeps_its_type(made: Callable[..., Method]) -> None:
    def broken(weights: Tensor) -> Tensor:
        raise IncompatibleModelsError("of its own")

    with pytest.raises(IncompatibleModelsError, match="of its own"):
        whole(made(broken), [torch.ones(2)] * 2, "F32")
