from __future__ import annotations

from dataclasses import replace

import pytest

from alnico.errors import UnknownNameError
from alnico.merging.steps import Form, Input, Plan, Step
from alnico.methods import methods
from alnico.recipe.integers import take_integers

FORM = Form("I64", (3,))


def both(name: str) -> tuple[Input, ...]:
    return Input(0, name), Input(1, name)


PLAN = Plan(
    ("./a", "./b"),
    (
        Step("w", Form("F32", (2,)), "merge", both("w"), None, methods["linear"]),
        Step("ids", FORM, "equal", both("ids")),
        Step("n", FORM, "largest", both("n")),
        Step("own", FORM, "equal", (Input(0, "own"),)),
    ),
    said=("before",),
)


@pytest.mark.parametrize("wanted", ["b", "./b"])
def test_tensors_without_a_mean_are_copied_from_the_model_that_is_named(wanted: str) -> None:
    found = take_integers(PLAN, wanted, ["a", "b"])
    merged, ids, counter, own = found.steps
    assert (merged, own) == (PLAN.steps[0], PLAN.steps[3])
    assert ids == Step("ids", FORM, "copy", (Input(1, "ids"),))
    assert counter == Step("n", FORM, "copy", (Input(1, "n"),))
    assert found.said == ("before", f"integer tensors are those of ./b: --integers-from {wanted}")


def test_a_plan_without_integers_stays_as_it_is() -> None:
    plan = replace(PLAN, steps=PLAN.steps[:1])
    assert take_integers(plan, "a", ["a", "b"]) == plan


def test_a_model_that_is_none_of_the_plans_gets_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="is not one of the models") as caught:
        take_integers(PLAN, "./c", ["cats", "dogs"])
    assert caught.value.help in ("did you mean './a'?", "did you mean './b'?")
