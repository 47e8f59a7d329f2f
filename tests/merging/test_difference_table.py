from __future__ import annotations

import pytest
import torch

from alnico.merging.diff import diff
from alnico.merging.difference import Difference, Row
from alnico.merging.difference_table import _cut, draw_difference
from alnico.merging.sums import Change, Sums
from alnico.types import StateDict

NAMES = ["embed.weight", *(f"model.layers.{i}.mlp.up_proj.weight" for i in range(11)), "norm.bias"]


def state(scale: float) -> StateDict:
    """Layers that all grew by the same factor."""
    return {
        name: scale * torch.ones(2, 2) if name != NAMES[-1] else scale * torch.ones(4)
        for name in NAMES
    }


def cells(text: str, start: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.startswith(start))
    return line.split()


def test_a_row_a_layer_has_the_measures_in_three_digits() -> None:
    text = draw_difference(diff(state(1), state(1.5)))
    lines = text.splitlines()
    assert lines[0].split() == [
        *("A", "to", "B", "values", "distance", "cosine", "signs", "changed", "largest", "rank")
    ]
    assert cells(text, "model.layers.10") == [
        *("model.layers.10", "4", "0.500", "1", "1", "1", "0.500", "1")
    ]
    names = [line.split()[0] for line in lines[2:16]]
    assert names == ["embed", *(f"model.layers.{i}" for i in range(11)), "norm", "all"]
    assert lines[-2:] == ["A is a, B is b.", "Cosine and signs are of the values."]


def test_a_base_adds_a_table_of_the_changes_from_it() -> None:
    text = draw_difference(diff(state(2), state(3), base=state(1)))
    first, second, notes = text.split("\n\n")
    assert "rank" not in first.splitlines()[0]
    assert cells(first, "all") == ["all", "52", "0.500", "1", "1", "1", "1"]
    assert second.splitlines()[0].split() == [
        *("from", "the", "base"),
        *("A", "distance", "changed", "rank", "B", "distance", "changed", "rank"),
    ]
    assert cells(second, "norm") == ["norm", "1", "1", "-", "2.00", "1", "-"]
    assert notes.splitlines()[1] == "Cosine and signs are of the changes from the base."


def test_a_row_a_tensor_keeps_names_readable_and_in_order() -> None:
    found = diff(state(2), state(3), base=state(1))
    text = draw_difference(found, by_tensor=True)
    shown = [line.split()[0] for line in text.splitlines()[2:16]]
    assert shown == [*NAMES, "all"]
    assert cells(text.split("\n\n")[1], NAMES[11])[1:] == ["1", "1", "2.00", "1"]


@pytest.mark.parametrize("by_tensor", [False, True])
@pytest.mark.parametrize("has_base", [False, True])
def test_no_line_is_wider_than_a_terminal(by_tensor: bool, has_base: bool) -> None:
    long = f"model.vision_tower.{'deeply.' * 20}encoder"
    names = [f"{long}.layers.{i}.self_attention.query.weight" for i in range(3)]
    a, b, base = ({name: torch.randn(3, 3) * 1e-7 for name in names} for _ in range(3))
    found = diff(a, b, base=base if has_base else None)
    text = draw_difference(found, by_tensor=by_tensor)
    assert max(map(len, text.split("A is")[0].splitlines())) <= 84
    assert ".weight" in text if by_tensor else "layers.2" in text


def test_a_long_name_keeps_its_two_ends() -> None:
    assert _cut("abc", 3) == "abc"
    assert _cut("abcdefghijklmnop", 9) == "abc...nop"
    assert len(_cut("x" * 99, 30)) == 30


def test_identical_models_are_one_sentence() -> None:
    text = draw_difference(diff(state(1), state(1)))
    assert text == "a and b are identical: 13 tensors, 52 values, bit for bit"


def test_what_is_unlike_is_said_below_and_cut_to_a_few() -> None:
    row = Row("x", {"x": (600, 600)}, Sums(Change(4, 2, 4, 1.0, 4.0), nonfinite=(0, 12, 1)))
    found = Difference(
        "cats",
        "dogs",
        "wolf",
        (row,),
        only_a=tuple(f"t{i}" for i in range(9)),
        only_b=("late",),
        shapes={"y": ((2, 3), (2, 4))},
        dtypes={"x": ("float32", "bfloat16")},
        unbased=("x",),
        unranked=("x",),
    )
    notes = draw_difference(found).split("\n\n")[-1].splitlines()
    assert notes[2:] == [
        "only cats has t0, t1, t2, t3, t4, t5, ... 3 more",
        "only dogs has late",
        "of two shapes, not compared: y [2, 3] and [2, 4]",
        "of two dtypes, compared by value: x float32 and bfloat16",
        "not in the base, or of another shape there: x",
        "NaN or infinite, left out: 12 of the values of dogs, in x",
        "NaN or infinite, left out: 1 of the values of wolf, in x",
        "large matrices whose effective rank was left out: 1; --rank finds it",
    ]


def test_models_with_nothing_in_common_have_notes_alone() -> None:
    text = draw_difference(diff({"x": torch.ones(1)}, {"y": torch.ones(1)}))
    assert text.splitlines()[1:] == ["only a has x", "only b has y"]
