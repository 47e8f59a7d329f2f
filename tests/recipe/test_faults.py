from __future__ import annotations

from pathlib import Path

import pytest

from alnico.errors import RecipeError
from alnico.recipe.faults import LONGEST, MOST, WIDTH, Faults, fault_at, shown

HERE = Path("pets.yaml")


def told(*found: tuple[int, str, str | None]) -> list[str]:
    faults = Faults(HERE)
    for fault in found:
        faults.add(*fault)
    with pytest.raises(RecipeError) as error:
        faults.check()
    return str(error.value).splitlines()


def test_without_a_fault_reading_goes_on() -> None:
    faults = Faults(HERE)
    faults.check()
    assert len(faults) == 0


def test_one_fault_has_the_form_of_one() -> None:
    assert told((14, "ties has no parameter 'densty'", "did you mean 'density'?")) == [
        "ties has no parameter 'densty'",
        "  --> pets.yaml:14",
        "  help: did you mean 'density'?",
    ]


def test_several_faults_stand_in_columns_in_the_order_of_lines() -> None:
    assert told(
        (14, "density: must lie in [0, 1], got 20", "20 % is 0.2"),
        (3, "weight: 'dosg' is not a model of this recipe", "did you mean 'dogs'?"),
        (20, "a rule must be a mapping, got 3", None),
    ) == [
        "3 faults in pets.yaml",
        "  line 3   weight: 'dosg' is not a model of this recipe     did you mean 'dogs'?",
        "  line 14  density: must lie in [0, 1], got 20              20 % is 0.2",
        "  line 20  a rule must be a mapping, got 3",
        "  nothing was read or written",
    ]


def test_a_hint_that_would_pass_the_width_stands_below_its_text() -> None:
    lines = told((1, "x" * 40, "y" * 40), (2, "short", "hint"))
    assert lines[1:] == [
        "  line 1  " + "x" * 40,
        "          " + "y" * 40,
        "  line 2  short     hint",
        "  nothing was read or written",
    ]
    assert max(map(len, lines)) <= WIDTH


def test_the_same_fault_twice_is_one() -> None:
    assert told((1, "a", None), (1, "a", None), (2, "a", None))[0] == "2 faults in pets.yaml"


def test_faults_that_nobody_would_read_end_the_reading() -> None:
    faults = Faults(HERE)
    with pytest.raises(RecipeError, match=f"^{MOST} faults or more in pets.yaml"):
        for line in range(10**6):
            faults.add(line, "wrong")
    assert len(faults) == MOST


def test_a_fault_alone_names_file_and_line() -> None:
    assert str(fault_at(HERE, 3, "wrong")) == "wrong\n  --> pets.yaml:3"


def test_values_are_shown_whole_if_they_are_short() -> None:
    assert shown("a") == "'a'" and shown(None) == "nothing" and shown([1, 2]) == "[1, 2]"
    assert len(shown("x" * 1000)) == LONGEST and shown("x" * 1000).endswith("...")
