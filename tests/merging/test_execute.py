from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
from torch import Tensor

from alnico.checkpoint.header import ARRAYS
from alnico.checkpoint.opened import Checkpoint
from alnico.checkpoint.reader import DTYPES
from alnico.errors import DataError, IncompatibleModelsError
from alnico.merging import execute as module
from alnico.merging import merge_states
from alnico.merging.alike import Keep, Merge, plan_alike
from alnico.merging.blocks import BLOCK, Workers, working
from alnico.merging.digests import digest_tensor
from alnico.merging.execute import How, execute
from alnico.merging.record import forms_of
from alnico.merging.steps import Form, Forms, Input, Plan, Step
from alnico.methods import Method, methods
from alnico.progress import phase
from alnico.types import StateDict

FLOATS = [torch.float32, torch.bfloat16, torch.float16, torch.float64]


class Memory:
    """Merged tensors, and what was finished in which order."""

    def __init__(self, forms: Forms) -> None:
        self.forms = forms
        self.values = {n: np.full(f.n_entries, 9, ARRAYS[f.dtype]) for n, f in forms.items()}
        self.done: dict[str, str] = {}
        self.finished: list[str] = []

    def put(self, name: str, start: int, block: np.ndarray) -> None:
        values = self.values[name]
        values[start : start + len(block)] = block.view(values.dtype)

    def finish(self, name: str, digest: str) -> None:
        self.done[name] = digest
        self.finished.append(name)

    def read(self, name: str, start: int, stop: int, out: np.ndarray) -> None:
        out[:] = self.values[name][start:stop]

    def tensor(self, name: str) -> Tensor:
        form = self.forms[name]
        return torch.from_numpy(self.values[name]).view(DTYPES[form.dtype]).reshape(form.shape)


def run(
    plan: Plan, models: Sequence[Checkpoint], target: Memory | None = None, **how: object
) -> tuple[Memory, Mapping[Input, str]]:
    target = target or Memory({step.name: step.form for step in plan.steps})
    with phase("merge", "test", total=len(plan.steps)) as work:
        digests = execute(plan, models, target, How(**how), work)  # type: ignore[arg-type]
    return target, digests


def plan_of(
    models: Sequence[Checkpoint],
    choice: Merge | Keep | Method | str = "linear",
    *,
    has_base: bool = False,
    dtype: str | None = None,
    **parameters: object,
) -> Plan:
    method = methods[choice] if isinstance(choice, str) else choice
    chosen = Merge(method, parameters) if isinstance(method, Method) else method  # type: ignore[arg-type]
    forms = [(f"m{i}", forms_of(model)) for i, model in enumerate(models)]
    base = forms.pop() if has_base else None
    return plan_alike(forms, lambda _: chosen, base=base, dtype=dtype, seed=3)


Open = Callable[..., list[Checkpoint]]


def test_every_rule_does_what_it_says(opened: Open) -> None:
    states = [
        {
            "w": torch.randn(3, 4),
            "ids": torch.arange(5),
            "mask": torch.tensor([True, False]),
            "bn.num_batches_tracked": torch.tensor(count),
            "scalar": torch.randn(()),
            "empty": torch.ones(0, 3),
            "no ids": torch.ones(0, dtype=torch.int32),
        }
        for count in (4, 9, 2)
    ]
    models = opened(*states)
    found, _ = run(plan_of(models, weight=[1.0, 2.0, 1.0]), models)
    for name in ("w", "scalar", "empty"):
        a, b, c = (state[name] for state in states)
        torch.testing.assert_close(found.tensor(name), (a + 2 * b + c) / 4)
    for name in ("ids", "mask", "no ids"):
        assert torch.equal(found.tensor(name), states[0][name])
    assert found.tensor("bn.num_batches_tracked") == 9
    kept, _ = run(plan_of(models, Keep(2)), models)
    for name, tensor in states[2].items():
        assert torch.equal(kept.tensor(name), tensor)
    assert kept.finished == list(models[0].tensors)


def test_integers_that_differ_are_named_with_both_models(opened: Open) -> None:
    ids = torch.zeros(BLOCK + 3, dtype=torch.int32)
    other = ids.clone()
    other[-1] = 1
    models = opened({"ids": ids}, {"ids": ids}, {"ids": other})
    with pytest.raises(IncompatibleModelsError) as error:
        run(plan_of(models), models)
    assert "integer tensors differ between the models: ids of m0 and m2" in str(error.value)
    assert "--integers-from MODEL" in str(error.value)


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16", "F64"])
@pytest.mark.parametrize("stored", FLOATS)
@pytest.mark.parametrize("choice", ["merge", "copy"])
def test_values_are_written_in_the_dtype_that_is_asked_for(
    opened: Open, stored: torch.dtype, dtype: str, choice: str
) -> None:
    odd = torch.tensor([1e-40, -0.0, 0.0, 6e-8, 1 + 2**-8, 1 + 2**-9, 1 + 3 * 2**-9, -65504.0])
    state = {"w": torch.cat([odd, torch.randn(100)]).to(stored)}
    models = opened(state, state)
    chosen: Merge | Keep = Merge(methods["linear"]) if choice == "merge" else Keep(1)
    if stored == torch.bfloat16 and dtype == "F16":  # -65504 is -65536 there, which F16 has not
        with pytest.raises(IncompatibleModelsError, match=r"1 values of w .* in float16"):
            run(plan_of(models, chosen, dtype=dtype), models)
        return
    found, _ = run(plan_of(models, chosen, dtype=dtype), models)
    assert torch.equal(found.tensor("w"), state["w"].to(DTYPES[dtype]))


def test_models_of_several_dtypes_merge_into_one(opened: Open) -> None:
    single, half = {"w": torch.randn(50)}, {"w": torch.randn(50).bfloat16()}
    for states in ([single, half], [half, single]):
        models = opened(*states)
        found, _ = run(plan_of(models, dtype="F32"), models)
        torch.testing.assert_close(found.tensor("w"), (single["w"] + half["w"]) / 2)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("who", [0, 1, 2])
@pytest.mark.parametrize("bad", [torch.nan, -torch.inf])
def test_values_that_are_not_finite_are_named_with_their_model(
    opened: Open, made: Callable[..., Method], dtype: torch.dtype, who: int, bad: float
) -> None:
    """Whatever the method makes of them: nothing, where it passes over a model."""
    states = [{"v": torch.ones(3).to(dtype), "w": torch.randn(500).to(dtype)} for _ in range(3)]
    states[who]["w"][77] = bad
    models = opened(*states)
    blind = made(lambda deltas: deltas[0] > 1e9, "deltas")
    for choice in (methods["ties"], blind, Keep(who)):
        with pytest.raises(DataError, match=rf"m{who}: w has values that are NaN or infinite"):
            run(plan_of(models, choice, has_base=True), models)


@pytest.mark.parametrize("dtype", FLOATS)
def test_they_are_taken_as_they_are_if_that_is_wished(opened: Open, dtype: torch.dtype) -> None:
    states = [{"w": torch.ones(4).to(dtype)} for _ in range(2)]
    states[1]["w"][1], states[0]["w"][3] = torch.nan, torch.inf
    models = opened(*states)
    for plan, expected in (
        (plan_of(models), [1.0, torch.nan, 1.0, torch.inf]),
        (plan_of(models, Keep(1)), [1.0, torch.nan, 1.0, 1.0]),
    ):
        found, _ = run(plan, models, allow_nonfinite=True)
        wanted = torch.tensor(expected).to(dtype)
        torch.testing.assert_close(found.tensor("w"), wanted, equal_nan=True)


@pytest.mark.parametrize("allow", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_values_that_a_method_makes_infinite_are_refused_in_any_case(
    opened: Open, made: Callable[..., Method], allow: bool, dtype: torch.dtype
) -> None:
    states = [{"w": torch.tensor([1.0, 2.0, -3.0]).to(dtype)} for _ in range(2)]
    if allow:
        states[0]["w"][2] = torch.inf
    models = opened(*states)
    huge = made(lambda weights: weights[0] / (weights[1] - 1.0))
    with pytest.raises(IncompatibleModelsError, match=r"made makes 1 values of w NaN or infinite"):
        run(plan_of(models, huge), models, allow_nonfinite=allow)


@pytest.fixture
def large(opened: Open) -> list[Checkpoint]:
    """Models of tensors of several blocks, whose last is no whole one, in rows and without."""
    shapes = {"flat": (2 * BLOCK + 77,), "rows": (3, BLOCK // 2 - 5)}
    return opened(*({n: torch.randn(shape) for n, shape in shapes.items()} for _ in range(3)))


@pytest.mark.parametrize("method", ["linear", "ties", "della", "slerp", "dare_ties", "sce"])
def test_results_and_digests_do_not_depend_on_threads(large: list[Checkpoint], method: str) -> None:
    models = large if methods[method].takes_base else large[:2]
    plan = plan_of(models, method, has_base=methods[method].takes_base)
    one, digests = run(plan, models, threads=1)
    for name, form in one.forms.items():
        values = one.values[name]
        assert one.done[name] == digest_tensor(form, lambda a, b, v=values: v[a:b])
    for threads in (2, 5):
        other, again = run(plan, models, threads=threads)
        assert other.done == one.done and again == digests
        assert all(np.array_equal(other.values[name], one.values[name]) for name in one.values)


def test_threads_are_no_more_than_there_is_room_for(
    large: list[Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def spy(n: int) -> AbstractContextManager[Workers]:
        asked.append(n)
        return working(n)

    monkeypatch.setattr(module, "working", spy)
    for room in (0, 3 * (3 + 2) * BLOCK * 4, 1 << 40):
        monkeypatch.setattr(module, "ROOM", room)
        run(plan_of(large), large, threads=5)
    assert asked == [1, 3, 5]


def test_digests_of_all_that_was_read_in_whole_are_given(large: list[Checkpoint]) -> None:
    plan = plan_of(large, "ties", has_base=True)
    _, digests = run(plan, large, threads=2)
    assert len(digests) == 6
    for each, digest in digests.items():
        values = large[each.model].array(each.name)
        form = Form("F32", values.shape)
        flat = values.reshape(-1)
        assert digest == digest_tensor(form, lambda start, stop, flat=flat: flat[start:stop])


def spectral(weights: Tensor) -> Tensor:
    """Take the mean, and of it the largest part alone."""
    left, values, right = torch.linalg.svd(weights.mean(0), full_matrices=False)
    return left[:, :1] * values[:1] @ right[:1]


def test_a_method_outside_the_vocabulary_is_played_in_torch(
    opened: Open, made: Callable[..., Method]
) -> None:
    states = [{"a": torch.randn(6, 4), "b": torch.randn(5, 7)} for _ in range(3)]
    models = opened(*states)
    found, _ = run(plan_of(models, made(spectral)), models)
    for name in states[0]:
        assert torch.equal(
            found.tensor(name), spectral(torch.stack([state[name] for state in states]))
        )


def test_models_in_double_precision_are_merged_in_it(opened: Open) -> None:
    states: list[StateDict] = [{"w": torch.randn(40, dtype=torch.float64)} for _ in range(3)]
    models = opened(*states)
    found, _ = run(plan_of(models, "ties", has_base=True, density=0.3), models)
    expected = merge_states(states[:2], "ties", base=states[2], density=0.3)
    assert torch.equal(found.tensor("w"), expected["w"])


def test_what_is_there_is_made_again_only_if_its_bytes_are_not_as_they_were(opened: Open) -> None:
    states = [{n: torch.randn(20) for n in "abc"} for _ in range(2)]
    models = opened(*states)
    plan = plan_of(models)
    target, _ = run(plan, models)
    before = {name: values.copy() for name, values in target.values.items()}
    target.values["b"][7] += 1
    target.finished.clear()
    run(plan, models, target)
    assert target.finished == ["b"]
    assert all(np.array_equal(target.values[name], before[name]) for name in before)


def test_a_tensor_may_be_made_of_tensors_of_other_names_and_of_one_model_twice(
    opened: Open,
) -> None:
    (model,) = opened({"a": torch.ones(4), "b": torch.full((4,), 3.0)})
    step = Step(
        "c",
        Form("F16", (2, 2)),
        "merge",
        (Input(0, "a"), Input(0, "b"), Input(0, "b")),
        method=methods["linear"],
    )
    found, _ = run(Plan(("m",), (step,)), [model])
    torch.testing.assert_close(found.tensor("c"), torch.full((2, 2), 7 / 3).half())
