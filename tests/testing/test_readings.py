"""Both readings of every method, and the contract itself: methods that it must find at fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from alnico.merging import answers
from alnico.merging.steps import Form, Input, Step
from alnico.merging.stream import is_streamable
from alnico.merging.whole import merge_whole
from alnico.methods import Method, method, methods, per_model
from alnico.testing import Dtypes, check_readings, readings

MIXED = Dtypes(("BF16", "F16", "F32"), base="F32", output="F32")
FINE_TUNED = Dtypes(("BF16",), base="F32", output="BF16")

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "breadcrumbs": [{"rescale": "l1", "density": 0.6, "outliers": 0.1}],
    "breadcrumbs_ties": [{"normalize": "models"}, {"rescale": "l1", "normalize": "weights"}],
    "dare_linear": [{"rescale": "l1", "normalize": "weights"}, {"rescale": "none"}],
    "dare_ties": [{"rescale": "l1", "normalize": "models"}],
    "della": [{"rescale": "l1", "normalize": "weights"}, {"density": 1.0}],
    "della_linear": [{"density": 0.7, "spread": 0.1, "rescale": "none"}],
    "karcher": [{"max_iter": 3}],
    "linear": [{"normalize": False}],
    "multislerp": [{"normalize": False}],
    "nearswap": [{"t": 0.01}],
    "nuslerp": [{"weight": [1.0, 2.5]}],
    "passthrough": [{"scale": -0.7}],
    "ram": [{"epsilon": 0.002}],
    "ramplus_tl": [{"epsilon": 0.002, "r": 0.5, "alpha": 1.0}],
    "sce": [{"density": 0.5}, {"density": 0.1, "least_energy": 1.0}],
    "slerp": [{"t": 0.3}],
    "task_arithmetic": [{"normalize": "weights", "scale": 0.5}],
    "ties": [{"density": 0.5, "rescale": "l1"}, {"normalize": "none", "density": 0.01}],
}
WHOLE = {"arcee_fusion": {}, "model_stock": {"filter_wise": True}, "nuslerp": {"flatten": False}}
"""What needs whole tensors."""

STREAMED = [name for name in methods if name != "arcee_fusion"]
OF_SUMS = {"karcher", "model_stock", "multislerp", "nuslerp", "ramplus_tl", "sce", "slerp"}
"""The methods in which, by default, a sum over a whole tensor enters; the others are equal to the
bit. The counts of `ramplus_tl` are exact all the same."""


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Method]:
    """Registers a function as a method, for one test."""
    monkeypatch.setattr(methods, "_things", dict(methods._things))
    return lambda function: method()(function)


@pytest.mark.parametrize("name", ["slerp", "ties", "della"])
def test_a_compiled_kernel_makes_what_torch_makes_of_mixed_dtypes(name: str) -> None:
    assert check_readings(name, dtypes=MIXED)


@pytest.mark.parametrize("name", SETTINGS)
def test_parameters_enter_both_readings(name: str) -> None:
    for parameters in SETTINGS[name]:
        assert check_readings(name, dtypes=FINE_TUNED, compiled=False, parameters=parameters)


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMED)
def test_every_compiled_kernel_makes_what_torch_makes(name: str) -> None:
    dtype = ("BF16", "F16", "F32")[STREAMED.index(name) % 3]
    assert check_readings(name, dtypes=dtype)


@pytest.mark.slow
def test_a_compiled_kernel_takes_ten_models(counting: None) -> None:
    assert check_readings("ties", dtypes=FINE_TUNED, n_models=10)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STREAMED if methods[name].models is None])
def test_one_to_ten_models_with_weights_of_their_own(name: str) -> None:
    chosen = methods[name]
    settings = [{}, *SETTINGS.get(name, [])]
    for k in range(chosen.at_least, 11):
        given = dict(settings[k % len(settings)])
        if "weight" in {parameter.name for parameter in chosen.parameters}:
            given["weight"] = [0.3 + 0.4 * j for j in range(k)]
        dtypes = ("F32", "F16", FINE_TUNED)[k // 2 % 3]
        assert check_readings(chosen, dtypes=dtypes, n_models=k, compiled=False, parameters=given)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the largest of the tensors counted, as if it were large."""
    monkeypatch.setattr(answers, "SMALL", 2048)
    monkeypatch.setattr(answers, "SAMPLE", 512)


@pytest.mark.parametrize(("few", "few_sizes"), [(1 << 23, 1 << 12), (1 << 23, 0), (0, 0)])
@pytest.mark.parametrize("name", ["ties", "breadcrumbs", "sce"])
def test_counting_finds_the_cut_that_sorting_finds(
    counting: None, monkeypatch: pytest.MonkeyPatch, name: str, few: int, few_sizes: int
) -> None:
    """From a sample and a list of candidates; or, where they are many, by counts of counts."""
    monkeypatch.setattr(answers, "FEW_CANDIDATES", few)
    monkeypatch.setattr(answers, "FEW_SIZES", few_sizes)
    settings = {"sce": {"density": 0.4}}.get(name, {})
    assert check_readings(name, dtypes="BF16", compiled=False, parameters=settings)
    if name == "ties" and few == 0:
        assert check_readings(name, dtypes="BF16", parameters={"density": 0.5})


@pytest.mark.parametrize("name", STREAMED)
def test_a_sum_over_the_whole_tensor_enters_these_methods_alone(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    steps: list[bool] = []
    known = readings._rounds_freely
    monkeypatch.setattr(
        readings, "_rounds_freely", lambda *args: steps.append(known(*args)) or steps[-1]
    )
    check_readings(name, compiled=False)
    assert set(steps) == {name in OF_SUMS}


@pytest.mark.parametrize("name", WHOLE)
def test_a_method_that_leaves_the_vocabulary_has_one_reading(name: str) -> None:
    assert not check_readings(name, parameters=WHOLE[name])


def test_a_plugin_in_plain_torch_has_both_readings(fresh: Callable[..., Method]) -> None:
    def clipped(deltas: Tensor, weight: Tensor = per_model(1.0)) -> Tensor:
        """Clip changes, and average those above a limit."""
        votes = torch.clamp(deltas * weight, min=-0.003, max=0.003)
        large = torch.abs(votes) > 0.001
        return torch.sum(torch.where(large, votes, 0.0), 0) / torch.sum(large, 0).clamp(min=1)

    chosen = fresh(clipped)
    for dtypes, n_models in (("BF16", 2), ("F16", 7), (MIXED, 3)):
        assert check_readings(chosen, n_models=n_models, dtypes=dtypes, compiled=False)


def test_a_plugin_with_an_svd_runs_on_whole_tensors(fresh: Callable[..., Method]) -> None:
    def low_rank(deltas: Tensor, rank: int = 1) -> Tensor:
        """Keep the leading directions of the mean change."""
        u, s, v = torch.linalg.svd(deltas.mean(0), full_matrices=False)
        return u[:, :rank] * s[:rank] @ v[:rank]

    chosen = fresh(low_rank)
    assert not check_readings(chosen)
    inputs = tuple(Input(j, "x") for j in range(2))
    step = Step("x", Form("F32", (4, 6)), "merge", inputs, Input(2, "x"), chosen)
    assert not is_streamable(step, {"F32": None})
    change = torch.randn(4, 1) @ torch.randn(1, 6)
    merged = merge_whole(step, lambda each: change * (each.model < 2), seed=0)
    torch.testing.assert_close(merged, change)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda weights: weights[0] * weights.ndim, "strange_one reads differently as a kernel: "),
        (lambda weights: weights[0] * (1 + 1e-6 * len(weights.shape)), "to F32; at .* it makes "),
        (lambda weights: weights[0] + 1e-3 * weights.shape[-1], "of plain .*, from F32, F32, F32"),
    ],
)
def test_readings_that_differ_are_shown(
    fresh: Callable[..., Method], fault: Callable[[Any], Any], message: str
) -> None:
    def strange_one(weights: Tensor) -> Tensor:
        """Take the axes for something that they are not."""
        return fault(weights)

    with pytest.raises(AssertionError, match=message):
        check_readings(fresh(strange_one), compiled=False)


def test_a_difference_between_threads_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    known = readings._streamed
    monkeypatch.setattr(
        readings, "_streamed", lambda step, blocks: known(step, blocks) + 0.1 * blocks.workers.n
    )
    with pytest.raises(AssertionError, match="linear depends on the number of threads: plain"):
        check_readings("linear", compiled=False)


@pytest.mark.parametrize("kind", readings.KINDS)
def test_the_values_are_what_they_are_said_to_be(kind: str) -> None:
    values = torch.stack(readings.family(kind, (70, 101), 3))
    assert torch.equal(values.isfinite().all(), torch.tensor(kind != "strange"))
    changes = (values[:-1] - values[-1]).abs()
    assert (len(changes.unique()) <= 3) == (kind == "draws")
    zeros = values[values == 0]
    assert zeros.signbit().any()
    if kind != "draws":
        assert ((values != 0) & (values.abs() < 1e-38)).any()


def test_two_steps_are_as_wide_as_at_the_largest_value_that_went_in() -> None:
    given = {Input(0, "x"): torch.tensor([1.0, 1.0, torch.nan, 0.0], dtype=torch.bfloat16)}
    wanted = torch.tensor([0.001, 0.001, 1.0, 0.001], dtype=torch.bfloat16)
    found = wanted + torch.tensor([2.0, 3.0, 0.0, 1.0], dtype=torch.bfloat16) * 2**-7
    assert readings._are_apart(found, wanted, given).tolist() == [False, True, False, True]
