from __future__ import annotations

import pytest
import torch

from alnico import method
from alnico.merging.blocks import BLOCK
from alnico.merging.execute import How
from alnico.merging.steps import Exact, Form, Input, Plan, Step
from alnico.methods import Method, methods
from alnico.recipe.needs import PROGRAM, PROGRAM_WITH_TORCH, RATE, RATE_WHOLE, needs_of

LARGE = Form("BF16", (1 << 14, 1 << 14))
ONE = How(threads=1)


def plan_of(*given: Method | Exact | None, form: Form = LARGE, base: bool = False) -> Plan:
    """A tensor for each method, of two models; copied from the first where there is none."""
    steps = []
    for i, each in enumerate(given):
        inputs = (Input(0, f"w{i}"), Input(1, f"w{i}"))
        root = Input(2, f"w{i}") if base else None
        rule = "copy" if each is None else "merge"
        steps.append(Step(f"w{i}", form, rule, inputs[: 1 if each is None else 2], root, each))
    return Plan(("a", "b", "c"), tuple(steps))


def forms(n: int = 1, form: Form = LARGE) -> list[dict[str, Form]]:
    return [{f"w{i}": form for i in range(n)}] * 3


def test_bytes_are_those_of_the_tensors_that_are_read_and_made() -> None:
    needs = needs_of(plan_of(methods["linear"], None), forms(2), ONE)
    assert needs.read == 3 * LARGE.n_bytes
    assert needs.written == 2 * LARGE.n_bytes
    assert needs_of(plan_of(methods["ties"], base=True), forms(), ONE).read == 3 * LARGE.n_bytes


def test_a_streamed_method_takes_blocks_however_large_a_tensor_is() -> None:
    linear = plan_of(methods["linear"])
    needs = needs_of(linear, forms(), ONE)
    assert needs.memory == PROGRAM + 3 * BLOCK * 4
    assert needs_of(linear, forms(), How(threads=4)).memory == PROGRAM + 4 * 3 * BLOCK * 4
    assert (needs.streamed, needs.whole) == (("linear",), ())
    ties = needs_of(plan_of(methods["ties"], base=True), forms(), How(threads=2))
    assert needs.memory < ties.memory < 300 * 10**6


def test_whole_tensors_are_taken_by_exact_methods_by_other_devices_and_by_strange_methods() -> None:
    exact = Exact("linear", lambda tensors, base, given: tensors[0])

    @method()
    def rank_one(weights: torch.Tensor) -> torch.Tensor:
        """Keep the first singular direction."""
        u, s, v = torch.linalg.svd(weights.mean(0))
        return s[0] * u[:, :1] @ v[:1]

    try:
        for kit, how in ((exact, ONE), (methods["linear"], How(1, "cuda")), (rank_one, ONE)):
            needs = needs_of(plan_of(kit), forms(), how)
            assert needs.memory == PROGRAM_WITH_TORCH + 4 * LARGE.n_entries * 4
            assert (needs.streamed, needs.whole) == ((), (kit.name,))
            assert needs.seconds == 3 * LARGE.n_bytes / RATE_WHOLE
    finally:
        del methods._things["rank_one"]


def test_float64_is_not_streamed_and_takes_eight_bytes_a_value() -> None:
    wide = Form("F64", (1000, 1000))
    needs = needs_of(plan_of(methods["linear"], form=wide), forms(form=wide), ONE)
    assert needs.whole == ("linear",)
    assert needs.memory == PROGRAM_WITH_TORCH + 4 * wide.n_bytes


@pytest.mark.parametrize(("name", "passes"), [("linear", 1), ("slerp", 2), ("ties", 3)])
def test_time_counts_how_often_models_are_read(name: str, passes: int) -> None:
    has_base = name == "ties"
    needs = needs_of(plan_of(methods[name], base=has_base), forms(), How(threads=2))
    n_read = 2 + has_base
    assert needs.seconds == pytest.approx((passes * n_read + 1) * LARGE.n_bytes / RATE / 2)
