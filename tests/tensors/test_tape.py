from __future__ import annotations

import numpy as np
import pytest

from alnico.tensors.small import Small
from alnico.tensors.tape import Ask, NotStreamableError, Tape


def tape(k: int = 3, **given: object) -> Tape:
    return Tape(k, 10, row=5, keys=np.zeros((k, 2), np.int64), **given)  # type: ignore[arg-type]


def test_equal_steps_are_one() -> None:
    t = tape()
    models, base = t.put("models"), t.put("base", per_model=False)
    assert t.put("-", models, base) == t.put("-", models, base)
    assert t.put("-", base, models) != t.put("-", models, base)
    assert [step.op for step in t.steps] == ["models", "base", "-", "-"]


def test_equal_constants_take_one_place_and_different_zeros_two() -> None:
    t = tape()
    first, again, other = t.lift(0.5), t.lift(np.float64(0.5)), t.lift(0.25)
    assert first == again != other
    assert t.lift(0.0) != t.lift(-0.0)
    assert t.floats == [0.5, 0.25, 0.0, -0.0]
    assert [t.steps[step].slot for step in (first, other)] == [0, 1]


def test_a_value_of_each_model_is_a_column() -> None:
    t = tape()
    for value in ([1.0, 2.0, 3.0], Small(np.array([[1.0], [2.0], [3.0]], np.float32))):
        step = t.steps[t.lift(value)]
        assert (step.op, step.per_model) == ("consts", True)
    assert not t.steps[t.lift(Small([[7.0]]))].per_model
    alone = tape(1)
    assert not alone.steps[alone.lift([2.0])].per_model


@pytest.mark.parametrize("shape", [(2,), (3, 3), (1, 3), (4, 1)])
def test_a_value_of_another_form_leaves_the_vocabulary(shape: tuple[int, ...]) -> None:
    with pytest.raises(NotStreamableError, match="a value of shape"):
        tape().lift(np.ones(shape))


def test_as_many_values_as_there_are_models_are_no_column_in_a_square() -> None:
    with pytest.raises(NotStreamableError, match=r"a value of shape \[2, 2\]"):
        tape(4).lift(np.ones((2, 2)))


def test_what_is_true_or_false_is_known_also_of_one_model() -> None:
    t = tape()
    models = t.put("models")
    above = t.put(">", models, t.lift(0.0))
    assert t.is_truth(above) and t.is_truth(t.put("not", above))
    assert t.is_truth(t.put("pick", above, 1)) and t.is_truth(t.put("largest", models, slot=0))
    assert not t.is_truth(models) and not t.is_truth(t.put("pick", models, 1))


def test_whole_numbers_are_kept_in_order() -> None:
    t = tape()
    assert t.add_ints(np.array([[1, 2], [3, 4]])) == 0
    assert t.add_ints(np.array([5])) == 4
    assert t.ints == [1, 2, 3, 4, 5]


def test_questions_are_answered_in_their_order_and_asked_where_none_is_left() -> None:
    t = tape(answers=["first", "second"])
    assert [t.ask("gram", (0,)), t.ask("totals", (0, 1))] == ["first", "second"]
    with pytest.raises(Ask) as asked:
        t.ask("cuts", (2,), (4, 5, 6))
    assert (asked.value.what, asked.value.of, asked.value.n_kept) == ("cuts", (2,), (4, 5, 6))
