from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor

from alnico.merging.ahead import Ahead
from alnico.merging.steps import Form, Input, Step
from alnico.methods import methods

FORM = Form("F32", (2,))


def step(name: str, *, base: bool = False) -> Step:
    inputs = (Input(0, name), Input(1, name))
    root = Input(2, name) if base else None
    return Step(name, FORM, "merge", inputs, root, methods["linear"])


def test_the_tensors_of_the_next_step_are_read_while_this_one_computes() -> None:
    read: list[Input] = []
    second = threading.Event()

    def load(each: Input) -> Tensor:
        read.append(each)
        if each.name == "b" and each.model == 2:
            second.set()
        return torch.full((2,), float(each.model))

    first, other = step("a"), step("b", base=True)
    ahead = Ahead([first, Step("n", FORM, "copy", (Input(0, "n"),)), other], load, "cpu")
    fetch = ahead.fetch(first)
    assert fetch(Input(1, "a")).tolist() == [1.0, 1.0]
    assert second.wait(5), "the next step was not begun"
    fetch = ahead.fetch(other)
    assert [fetch(each).tolist() for each in other.inputs] == [[0.0, 0.0], [1.0, 1.0]]
    assert fetch(Input(2, "b")).tolist() == [2.0, 2.0]
    assert len(read) == len(set(read)) == 5
    ahead.close()


def test_an_error_in_reading_comes_where_the_tensor_is_asked_for() -> None:
    def load(each: Input) -> Tensor:
        if each.name == "b":
            raise ValueError("the disk is gone")
        return torch.zeros(2)

    ahead = Ahead([step("a"), step("b")], load, "cpu")
    assert ahead.fetch(step("a"))(Input(0, "a")).tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="the disk is gone"):
        ahead.fetch(step("b"))(Input(0, "b"))
    ahead.close()


def test_a_step_that_was_not_foreseen_is_read_at_once() -> None:
    ahead = Ahead([step("a")], lambda each: torch.ones(2), "cpu")
    assert ahead.fetch(step("z"))(Input(0, "z")).tolist() == [1.0, 1.0]
    ahead.close()
