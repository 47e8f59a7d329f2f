from __future__ import annotations

import pytest

from alnico.errors import UnknownNameError
from alnico.training.schedule import schedules


@pytest.mark.parametrize("n_steps", [1, 2, 7, 100, 1000])
def test_cosine_rises_over_a_twentieth_and_falls_towards_zero(n_steps: int) -> None:
    factors = [schedules["cosine"](step, n_steps) for step in range(n_steps)]
    top = factors.index(max(factors))
    assert max(factors) == 1.0
    assert top == max(1, round(0.05 * n_steps)) - 1
    assert factors[top:] == sorted(factors[top:], reverse=True)
    assert all(0 < factor <= 1 for factor in factors)
    if n_steps >= 100:
        assert factors[-1] < 0.01
        middle = (top + n_steps) // 2
        assert factors[middle] == pytest.approx(0.5, abs=0.02)


def test_constant_stays() -> None:
    assert {schedules["constant"](step, 9) for step in range(9)} == {1.0}


def test_an_unknown_schedule_points_to_the_right_one() -> None:
    with pytest.raises(UnknownNameError) as caught:
        schedules["cosin"]
    assert caught.value.help == "did you mean 'cosine'?"
