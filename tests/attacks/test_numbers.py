"""Values that spoil a merge in silence: each is refused by name, or comes out as it must."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from alnico.methods import methods

Refused = Callable[..., str]
Merged = Callable[..., Any]
State = Mapping[str, torch.Tensor]

MERGE = ("merge", "a", "b", "-o", "out")
BASED = (*MERGE, "--base", "base")
FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
METHODS = [method.name for method in methods.values()]


def words_of(name: str) -> list[str]:
    """A merge of `a` and `b` by a method, whatever it needs."""
    method = methods[name]
    models = ["a"] if method.models == 1 else ["a", "b"]
    base = ["--base", "base"] if method.needs_base else []
    return ["merge", *models, *base, "--method", name, "-o", "out"]


def put(work: Path, name: str, **tensors: torch.Tensor) -> None:
    save_file(tensors, work / name / "model.safetensors")


def made(work: Path) -> dict[str, torch.Tensor]:
    return load_file(work / "out/model.safetensors")


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(("spoilt", "value"), [("b", np.nan), ("base", -np.inf), ("a", np.inf)])
def test_a_value_that_is_not_finite_is_refused_with_its_model_and_tensor(
    refused: Refused, work: Path, dtype: torch.dtype, spoilt: str, value: float
) -> None:
    for name in ("a", "b", "base"):
        w = torch.ones(3, 5, dtype=dtype)
        if name == spoilt:
            w[2, 4] = value
        put(work, name, v=torch.ones(2, dtype=dtype), w=w)
    block = refused(*BASED, "--method", "ties")
    assert f"{spoilt}: w has values that are NaN or infinite" in block
    assert "--allow-nonfinite" in block


@pytest.mark.parametrize("name", METHODS)
def test_no_method_takes_a_nan_in_silence(refused: Refused, work: Path, name: str) -> None:
    for model in ("a", "b", "base"):
        w = torch.linspace(-1, 1, 64).reshape(8, 8) * (1 + len(model))
        if model == "a":
            w[3, 3] = torch.nan
        put(work, model, w=w)
    assert "a: w has values that are NaN or infinite" in refused(*words_of(name))


def test_a_value_that_is_not_finite_is_merged_where_that_is_asked_for(
    merged: Merged, work: Path
) -> None:
    put(work, "a", w=torch.tensor([1.0, torch.nan, torch.inf, 4.0]), v=torch.ones(2))
    put(work, "b", w=torch.tensor([3.0, 2.0, 2.0, -torch.inf]), v=torch.ones(2))
    merged(*MERGE, "--allow-nonfinite")
    expected = torch.tensor([2.0, torch.nan, torch.inf, -torch.inf])
    assert torch.equal(made(work)["w"].nan_to_num(7, 8, 9), expected.nan_to_num(7, 8, 9))


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("--method linear --weight 3 3 --normalize false", "linear makes 1 values of w NaN or inf"),
        ("--method task_arithmetic --base base --scale 100", "task_arithmetic makes 1 values of w"),
        ("--method passthrough --scale 2", "passthrough makes 1 values of w NaN or infinite in"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
def test_a_result_that_its_dtype_cannot_hold_is_refused(
    refused: Refused, work: Path, words: str, fault: str, dtype: torch.dtype
) -> None:
    most = torch.finfo(dtype).max
    for name in ("a", "b"):
        put(work, name, v=torch.ones(2, dtype=dtype), w=torch.tensor([1, 0.9 * most]).to(dtype))
    put(work, "base", v=torch.ones(2, dtype=dtype), w=torch.tensor([1, 0.8 * most]).to(dtype))
    models = ["a"] if "passthrough" in words else ["a", "b"]
    block = refused("merge", *models, "-o", "out", *words.split(), code=3)
    assert fault in block and f" in {str(dtype).removeprefix('torch.')}" in block
    assert "take a wider --dtype" in block


def test_a_narrower_dtype_that_cannot_hold_a_value_is_refused(refused: Refused, work: Path) -> None:
    for name in ("a", "b"):
        put(work, name, w=torch.tensor([1e6, 1.0]))
    block = refused(*MERGE, "--dtype", "float16", code=3)
    assert "linear makes 1 values of w NaN or infinite in float16" in block


ALIKE = {
    "zeros": torch.zeros(3, 5),
    "alike": torch.linspace(-1, 1, 15).reshape(3, 5),
    "smallest": torch.full((3, 5), 1e-45),
    "scalar": torch.tensor(2.0),
    "empty": torch.zeros(0, 5),
    "one row": torch.ones(1, 5),
    "one column": torch.ones(5, 1),
    "bfloat16": torch.linspace(-1, 1, 15).bfloat16(),
    "float16": torch.full((4,), 65504.0).half(),
}


@pytest.mark.parametrize("name", METHODS)
def test_models_without_any_size_or_difference_merge_into_what_they_are(
    merged: Merged, work: Path, name: str
) -> None:
    for model in ("a", "b", "base"):
        put(work, model, **ALIKE)
    merged(*words_of(name))
    found = made(work)
    assert found.keys() == ALIKE.keys()
    for kind, w in ALIKE.items():
        torch.testing.assert_close(found[kind], w, rtol=1e-2, atol=1e-44, msg=kind)


def test_bfloat16_loses_nothing_to_cancellation(merged: Merged, work: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    base = torch.randn(64, generator=draw).bfloat16()
    put(work, "base", w=base)
    states = {name: (base.double() + 1e-2 * i).bfloat16() for i, name in enumerate("ab", 1)}
    for name, w in states.items():
        put(work, name, w=w)
    merged(*BASED, "--method", "task_arithmetic")
    exact = base.double() + sum(w.double() - base.double() for w in states.values())
    error = (made(work)["w"].double() - exact).abs()
    assert (error <= exact.abs() * 2**-8).all()


@pytest.mark.parametrize(
    "dtype", [torch.int64, torch.int32, torch.uint8, torch.bool, torch.complex64], ids=str
)
def test_numbers_without_a_mean_must_be_equal_or_of_a_named_model(
    refused: Refused, merged: Merged, work: Path, dtype: torch.dtype
) -> None:
    for name, values in {"a": [0, 1, 1], "b": [0, 1, 0]}.items():
        put(work, name, w=torch.ones(2), ids=torch.tensor(values).to(dtype))
    block = refused(*MERGE, code=3)
    assert "integer tensors differ between the models: ids of a and b" in block
    assert "--integers-from MODEL" in block
    merged(*MERGE, "--integers-from", "b")
    assert torch.equal(made(work)["ids"], torch.tensor([0, 1, 0]).to(dtype))


def test_counters_of_batches_take_the_largest(merged: Merged, work: Path) -> None:
    for name, n in {"a": 7, "b": 9}.items():
        put(work, name, **{"bn.weight": torch.ones(2), "bn.num_batches_tracked": torch.tensor(n)})
    merged(*MERGE)
    assert made(work)["bn.num_batches_tracked"].item() == 9


VALUES = {
    "--weight 1 -1": "the weights sum to 0, got [",
    "--weight 0 0": "the weights sum to 0, got [",
    "--weight nan 1": "weight",
    "--weight inf 1": "weight",
    "--weight 1e400 1": "weight",
    "--weight much 1": "weight must be a number, got 'much'",
    "--weight 1 1 1": "weight has 3 values",
    "--weight": "",
    "--normalize maybe": "normalize",
    "--method ties --base base --density 20": "20 % is 0.2",
    "--method ties --base base --density -0.1": "density must lie in [0, 1], got -0.1",
    "--method ties --base base --density 1.0000001": "density must lie in [0, 1], got 1.0000001",
    "--method ties --base base --density nan": "density",
    "--method ties --base base --density 0.2 0.2 0.2": "density has 3 values",
    "--method ties --base base --densty 0.2": "did you mean '--density'?",
    "--method tise": "did you mean 'ties'?",
    "--method ties": "ties merges changes from a base, and there is none",
    "--method slerp --t 2": "t must lie in [0, 1], got 2\n",
    "--method model_stock --base base --seed -1": "seed must be a whole number from 0 on, got -1",
    "--seed 1.5": "'--seed'",
    "--threads -1": "threads must be 0",
    "--dtype float8": "dtype cannot be 'float8'",
    "--dtype int8": "dtype cannot be 'int8'",
    "--device gpu": "there is no kind of device 'gpu'",
    "--shard-size 0": "--shard-size must be a size, got '0'",
    "--shard-size -5GB": "--shard-size must be a size, got '-5GB'",
    "--shard-size big": "write it as 5GB",
    "--integers-from c": "integers-from: 'c' is not one of the models",
    "--compat mergkit": "did you mean 'mergekit'?",
    "--compat mergekit": "--compat is for mergekit's recipes, and this is none",
    "--strict": "--strict is for mergekit's recipes, and this is none",
}


@pytest.mark.parametrize("words", VALUES)
def test_a_parameter_that_cannot_be_is_refused(refused: Refused, words: str) -> None:
    assert VALUES[words] in refused(*MERGE, *words.split())


UNLIKE: dict[str, tuple[State, State, str]] = {
    "another shape": (
        {"w": torch.ones(2, 3), "v": torch.ones(2)},
        {"w": torch.ones(3, 2), "v": torch.ones(2)},
        r"a and b differ in the shape of 1 of 2 tensors",
    ),
    "as many values in another shape": (
        {"w": torch.ones(6)},
        {"w": torch.ones(2, 3)},
        "w    a [6]    b [2, 3]",
    ),
    "a scalar and a list of one": (
        {"w": torch.ones(())},
        {"w": torch.ones(1)},
        "w    a []    b [1]",
    ),
    "another vocabulary": (
        {"embed.weight": torch.ones(6, 4)},
        {"embed.weight": torch.ones(7, 4)},
        "a and b have vocabularies of different size: 6 and 7 tokens",
    ),
    "another dtype": ({"w": torch.ones(2)}, {"w": torch.ones(2).half()}, "w    a float32    b flo"),
    "a number and a count": (
        {"w": torch.ones(2)},
        {"w": torch.ones(2, dtype=torch.int32)},
        "w    a float32    b int32",
    ),
    "a tensor more": (
        {"w": torch.ones(2)},
        {"w": torch.ones(2), "v": torch.ones(2)},
        "only b has v; a has not",
    ),
    "other names": ({"w": torch.ones(2)}, {"W": torch.ones(2)}, "only a has w; b has not"),
}


@pytest.mark.parametrize("case", UNLIKE)
def test_models_that_do_not_fit_are_refused_with_the_tensor_and_a_way_out(
    refused: Refused, work: Path, case: str
) -> None:
    a, b, fault = UNLIKE[case]
    put(work, "a", **a)
    put(work, "b", **b)
    block = refused(*MERGE, code=3)
    assert fault in block and "\n  help: " in block


F8 = torch.float8_e4m3fn
SCALED: dict[str, tuple[State, str]] = {
    "a scale of NaN": (
        {"x.weight": torch.ones(4, 4).to(F8), "x.weight_scale_inv": torch.tensor([[torch.nan]])},
        "a: x.weight has values that are NaN or infinite",
    ),
    "a value of NaN": (
        {"x.weight": torch.full((4, 4), torch.nan).to(F8), "x.weight_scale_inv": torch.ones(1, 1)},
        "a: x.weight has values that are NaN or infinite",
    ),
    "scales of another shape": (
        {"x.weight": torch.ones(4, 4).to(F8), "x.weight_scale_inv": torch.ones(3, 4)},
        "a: x.weight_scale_inv of shape [3, 4] does not fit its weight of [4, 4]",
    ),
    "scales without an entry": (
        {"x.weight": torch.ones(4, 4).to(F8), "x.weight_scale_inv": torch.ones(0, 4)},
        "a: x.weight_scale_inv of shape [0, 4] does not fit its weight of [4, 4]",
    ),
    "scales that are counts": (
        {"x.weight": torch.ones(4, 4).to(F8), "x.weight_scale_inv": torch.ones(1, 1).int()},
        "it has the dtype I32",
    ),
    "four bits": ({"x.qweight": torch.ones(4, 4).int()}, "GPTQ or AWQ"),
}


@pytest.mark.parametrize("case", SCALED)
def test_a_quantised_weight_that_cannot_be_given_back_is_refused(
    refused: Refused, work: Path, case: str
) -> None:
    state, fault = SCALED[case]
    put(work, "a", **state)
    put(work, "b", **{"x.weight": torch.ones(4, 4)})
    assert fault in refused(*MERGE, "--dtype", "float32")
