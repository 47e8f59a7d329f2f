from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alnico.errors import RecipeError
from alnico.recipe.mergekit import plan_stages, read_stages

Llama = Callable[..., Any]

MULTI = """\
merge_method: linear
models: [{model: second}, {model: c}]
parameters: {weight: 1}
---
name: second
merge_method: slerp
base_model: first
models: [{model: b}]
parameters: {t: 0.5}
---
name: first
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 2]}]
  - sources: [{model: a, layer_range: [1, 3]}]
dtype: float16
"""


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def written(text: str) -> Path:
        path = tmp_path / "multi.yml"
        path.write_text(text)
        return path

    return written


def test_recipes_stand_behind_those_whose_results_they_take(
    written: Callable[[str], Path],
) -> None:
    assert [recipe.name for recipe in read_stages(written(MULTI))] == ["first", "second", None]


def test_later_stages_are_planned_from_what_earlier_ones_promise(
    written: Callable[[str], Path], llama: Llama
) -> None:
    models = {"a": llama(3), "b": llama(4), "c": llama(4)}
    opened: list[str] = []

    def open_model(place: str) -> Any:
        opened.append(place)
        return models[place]

    first, second, last = plan_stages(written(MULTI), open_model=open_model, seed=3)
    assert opened == ["a", "b", "c"]
    assert first.planned.config_changes == {("num_hidden_layers",): 4}
    assert second.planned.plan.models == ("b", "first") and second.planned.config_donor == 1
    assert last.planned.plan.models == ("second", "c") and last.recipe.name is None
    names = [{step.name for step in stage.planned.plan.steps} for stage in (first, second, last)]
    assert names[0] == names[1] == names[2] and len(names[0]) == 3 + 4 * 3
    assert {stage.planned.plan.seed for stage in (first, second, last)} == {3}
    # float16 of the first meets float32 of the others
    assert {step.form.dtype for step in first.planned.plan.steps} == {"F16"}
    assert {step.form.dtype for step in second.planned.plan.steps} == {"F32"}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("name: first\n", ""), "2 recipes have no name\n  help: give each document its name"),
        (("name: first\n", "name: second\n"), "2 recipes are named second"),
        (
            ("model: a, layer_range: [1, 3]", "model: second, layer_range: [1, 3]"),
            "results: second, first$",
        ),
    ],
)
def test_stages_that_have_no_order_are_refused(
    written: Callable[[str], Path], change: tuple[str, str], fault: str
) -> None:
    with pytest.raises(RecipeError, match=fault):
        read_stages(written(MULTI.replace(*change)))


def test_one_document_is_one_stage(written: Callable[[str], Path], llama: Llama) -> None:
    text = "merge_method: passthrough\nmodels: [{model: a}]\n"
    (stage,) = plan_stages(written(text), open_model={"a": llama()}.__getitem__)
    assert len(stage.planned.plan.steps) == len(llama().tensors)
