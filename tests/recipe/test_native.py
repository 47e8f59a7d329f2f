from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from alnico.checkpoint.opened import open_checkpoint
from alnico.errors import IncompatibleModelsError, RecipeError
from alnico.merging.steps import Plan, Step
from alnico.recipe.native import plan_recipe, read_recipe

Write = Callable[[str], Path]


def plan(path: Path) -> Plan:
    recipe = read_recipe(path)
    with ExitStack() as stack:
        sources = [*recipe.sources.values(), *([recipe.base] if recipe.base else [])]
        opened = [stack.enter_context(open_checkpoint(source.reference)) for source in sources]
        n_models = len(recipe.sources)
        return plan_recipe(recipe, opened[:n_models], next(iter(opened[n_models:]), None))


def steps(path: Path) -> dict[str, Step]:
    return {step.name: step for step in plan(path).steps}


def linear(rules: str, *, models: str = "[cats.safetensors, dogs.safetensors]") -> str:
    return f"alnico: 1\nmodels: {models}\nsteps:\n- merge:\n    method: linear\n{rules}"


def test_every_tensor_has_its_fate_and_its_parameters(
    pets: str, folder: Path, write: Write
) -> None:
    found = plan(write(pets + "seed: 5\n"))
    names = list(load_file(folder / "cats.safetensors"))
    assert sorted(step.name for step in found.steps) == sorted(names)
    assert found.models == tuple(
        str(folder / f"{name}.safetensors") for name in ("cats", "dogs", "vit")
    )
    assert found.seed == 5 and not found.dropped
    for step in found.steps:
        if step.name == "head.weight":
            assert (step.rule, [i.model for i in step.inputs]) == ("copy", [0])
            continue
        density = 0.5 if re.fullmatch(r"blocks\.\d\.attn\..*", step.name) else 0.3
        assert step.rule == "merge" and step.base is not None and step.base.model == 2
        assert step.parameters["density"] == density and step.parameters["weight"] == [1.0, 0.8]
        assert step.parameters["scale"] == 1.0  # a default


def test_later_rules_win_key_by_key(write: Write) -> None:
    rules = """\
    weight: [1, 2]
    where:
      - {match: "blocks.*", weight: [3, 4], normalize: off}
      - {match: "blocks.[01].*", keep: dogs}
      - {match: "blocks.0.mlp.weigh?", weight: 5}
"""
    found = steps(write(linear(rules)))
    assert found["embed.weight"].parameters == {"weight": [1, 2], "normalize": True}
    assert found["blocks.4.mlp.weight"].parameters == {"weight": [3, 4], "normalize": False}
    assert found["blocks.0.attn.weight"].rule == "copy"
    assert found["blocks.0.attn.weight"].inputs[0].model == 1
    assert found["blocks.0.mlp.weight"].parameters == {"weight": 5, "normalize": False}


def test_models_are_merged_in_the_order_of_the_step(folder: Path, write: Write) -> None:
    models = "[cats.safetensors, dogs.safetensors, vit.safetensors]"
    text = linear("    models: [vit, cats]\n", models=models)
    assert plan(write(text)).models == tuple(
        str(folder / f"{name}.safetensors") for name in ("vit", "cats")
    )


def test_the_base_can_be_kept_where_the_method_sees_none(write: Write) -> None:
    rule = "    where: [{match: head.*, keep: base}]\nbase: vit.safetensors\n"
    found = steps(write(linear(rule)))
    assert found["head.weight"].inputs[0].model == 2
    assert found["embed.weight"].base is None and len(found["embed.weight"].inputs) == 2


def test_a_gradient_goes_over_the_layers_in_even_steps(write: Write) -> None:
    found = steps(write(linear("    weight: {cats: 1, dogs: {from: 0, to: 2}}\n")))
    for n, expected in enumerate(np.linspace(0, 2, 5)):
        for part in ("attn", "mlp"):
            weight = found[f"blocks.{n}.{part}.weight"].parameters["weight"]
            assert np.allclose(np.asarray(weight), [1, expected])
    assert found["embed.weight"].parameters["weight"] == [1, 0]
    assert found["head.weight"].parameters["weight"] == [1, 2]


def test_one_layer_has_the_first_value(folder: Path, write: Write) -> None:
    for name in ("cats", "dogs"):
        tensors = {"embed.weight": np.ones(2), "layers.0.w": np.ones(2), "head.weight": np.ones(2)}
        save_file(tensors, folder / f"{name}.safetensors")
    text = linear("    t: {from: 0.25, to: 1}\n").replace("linear", "slerp")
    path = write(text)
    assert steps(path)["layers.0.w"].parameters["t"] == 0.25


def test_a_gradient_without_layers_is_a_fault_beside_the_others(folder: Path, write: Write) -> None:
    for name in ("cats", "dogs"):
        save_file({"w": np.ones(2)}, folder / f"{name}.safetensors")
    path = write(linear("    weight: {from: 0, to: 1}\n    where: [{match: x, keep: cats}]\n"))
    with pytest.raises(RecipeError) as error:
        plan(path)
    lines = str(error.value).splitlines()
    assert lines[0] == f"2 faults in {path}"
    assert (
        lines[1]
        == "  line 5  weight changes over layers, and no layers are to be seen in the names"
    )
    assert lines[3] == "  line 7  match: no tensor is called 'x'     a tensor is called 'w'"


@pytest.mark.parametrize(
    ("match", "near"),
    [
        ("block.*.attn.*", "blocks.*.attn.*"),
        ("blocks.*.atn.weight", "blocks.*.attn.weight"),
        ("blocks.7.attn.weight", "blocks.*.attn.weight"),
        ("haed.*", "head.*"),
        ("Head.weight", "head.weight"),
    ],
)
def test_a_rule_that_matches_nothing_is_corrected(match: str, near: str, write: Write) -> None:
    path = write(linear(f'    where: [{{match: "{match}", keep: cats}}]\n'))
    with pytest.raises(RecipeError) as error:
        plan(path)
    assert str(error.value) == (
        f"match: no tensor is called '{match}'\n  --> {path}:6\n  help: did you mean '{near}'?"
    )
    assert plan(write(path.read_text().replace(match, near)))  # and the correction does


def test_the_dtype_of_the_output_is_the_recipe_s(write: Write) -> None:
    found = steps(write(linear("    where: [{match: head.*, keep: cats}]\ndtype: bfloat16\n")))
    assert {step.form.dtype for step in found.values()} == {"BF16"}


def test_models_that_do_not_fit_are_called_by_their_names(folder: Path, write: Write) -> None:
    tensors = load_file(folder / "dogs.safetensors")
    save_file({**tensors, "head.weight": np.ones((5, 3), np.float32)}, folder / "dogs.safetensors")
    with pytest.raises(IncompatibleModelsError, match="cats and dogs differ in the shape of 1 of"):
        plan(write(linear("")))


def test_reading_a_recipe_needs_no_torch(pets: str, write: Write) -> None:
    code = (
        "import sys; from alnico.recipe.native import read_recipe; read_recipe(sys.argv[1]);"
        "assert not {'torch', 'numba', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(write(pets))], check=True)


def test_a_pattern_of_many_stars_takes_no_time(write: Write) -> None:
    path = write(linear(f'    where: [{{match: "{"*e" * 200}x", keep: cats}}]\n'))
    with pytest.raises(RecipeError, match="match: no tensor is called"):
        plan(path)
