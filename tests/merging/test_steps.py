from __future__ import annotations

import torch

from alnico.checkpoint.reader import DTYPES
from alnico.merging.steps import NAMES, Form, Input, Plan, Step


def test_dtypes_are_called_as_torch_calls_them() -> None:
    for dtype, called in NAMES.items():
        assert str(DTYPES[dtype]) == f"torch.{called}" and Form(dtype, ()).dtype_name == called
    assert Form("F8_E4M3", ()).dtype_name == "f8_e4m3"


def test_a_form_says_what_torch_says_of_such_a_tensor() -> None:
    for dtype, kind in DTYPES.items():
        for shape in ((), (0,), (3,), (2, 0, 5), (4, 3, 2)):
            form, tensor = Form(dtype, shape), torch.empty(shape, dtype=kind)
            assert (form.n_entries, form.n_bytes) == (tensor.numel(), tensor.nbytes), dtype
            assert form.has_mean == kind.is_floating_point, dtype


def test_a_plan_says_nothing_unless_it_is_told() -> None:
    step = Step("w", Form("F32", (2,)), "copy", (Input(0, "w"),))
    plan = Plan(("cats",), (step,))
    assert (plan.dropped, plan.said, plan.base, plan.seed) == ((), (), None, 0)
    assert (step.base, step.method, dict(step.parameters), step.work_dtype) == (
        None,
        None,
        {},
        None,
    )
