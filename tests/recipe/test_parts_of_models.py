"""`from:` in a recipe: the language model inside a model that sees, merged with a plain one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig
from zoo import load, make, save

from alnico.errors import AlnicoError, RecipeError
from alnico.recipe import Options, read_recipe, run_recipe, to_yaml
from alnico.recipe.judged import prepare_judge
from alnico.recipe.showing import foresee

RECIPE = """\
alnico: 1
models:
  seeing: {path: ./vlm, from: language_model.*}
  plain: ./llama
steps:
- merge: {method: linear, weight: [0.25, 0.75]}
"""
BEGIN = "language_model."

Write = Callable[[str], Path]


@pytest.fixture
def models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A LLaVA, and a Llama of the config of its language model."""
    monkeypatch.chdir(folder)
    save(make("llava", 0), folder / "vlm")
    text = AutoConfig.from_pretrained(folder / "vlm").text_config
    save(make("llama", 1, text), folder / "llama")
    return folder


def language_model(path: Path) -> dict[str, torch.Tensor]:
    state = load_file(path / "model.safetensors")
    return {n.removeprefix(BEGIN): t for n, t in state.items() if n.startswith(BEGIN)}


@pytest.mark.parametrize("order", [("seeing", "plain"), ("plain", "seeing")])
def test_a_language_model_inside_another_merges_with_a_plain_one(
    order: tuple[str, str], models: Path, write: Write
) -> None:
    weight = "{seeing: 0.25, plain: 0.75}"
    step = f"models: [{', '.join(order)}], weight: {weight}"
    run_recipe(write(RECIPE.replace("weight: [0.25, 0.75]", step)), models / "out")
    a, b = language_model(models / "vlm"), load_file(models / "llama/model.safetensors")
    loaded, found = load("llama", models / "out")
    assert not any(found.values())
    state = loaded.state_dict()
    assert a.keys() == b.keys() == state.keys()
    for name, merged in state.items():
        torch.testing.assert_close(merged, 0.25 * a[name] + 0.75 * b[name])
    with torch.no_grad():
        assert loaded(torch.tensor([[1, 2, 3]])).logits.isfinite().all()


def test_the_base_can_be_a_part_of_the_same_files_and_is_opened_once(
    models: Path, write: Write
) -> None:
    state = load_file(models / "vlm/model.safetensors")
    more = {f"teacher.{name}": t + 1 for name, t in language_model(models / "vlm").items()}
    save_file(state | more, models / "vlm/model.safetensors")
    text = RECIPE.replace("linear, weight: [0.25, 0.75]", "task_arithmetic").replace(
        "steps:", "base: {path: ./vlm, from: teacher.*}\nsteps:"
    )
    record = run_recipe(write(text), models / "out")
    assert [Path(one["path"]).name for one in record["models"]] == [
        "vlm (language_model.*)",
        "llama",
        "vlm (teacher.*)",
    ]
    merged = load_file(models / "out/model.safetensors")
    plain = load_file(models / "llama/model.safetensors")
    for name, base in language_model(models / "vlm").items():
        torch.testing.assert_close(merged[name], plain[name] + base - (base + 1))
    assert "{path: ./vlm, from: teacher.*}" in record["recipe"]  # beside each other, not renamed


def test_the_record_and_the_card_name_the_part_and_the_plan_what_is_not_seen(
    models: Path, write: Write
) -> None:
    path = write(RECIPE)
    record = run_recipe(path, models / "out")
    card = (models / "out/README.md").read_text()
    n, total = len(language_model(models / "vlm")), len(load_file("vlm/model.safetensors"))
    said = f"vlm (language_model.*) is {n} of {total} tensors; the others are not seen"
    assert "`vlm (language_model.*)`" in card and said in card and "from: language_model.*" in card
    assert str(models) not in card and record["said"][0].endswith(said)
    (foresight,) = foresee(path).merges
    assert foresight.said == tuple(record["said"]) and foresight.modules["model"] > 0


def test_what_was_read_is_written_and_read_again(models: Path, write: Write) -> None:
    recipe = read_recipe(write(RECIPE))
    assert recipe.models["seeing"].part == "language_model.*"
    assert "seeing: {path: ./vlm, from: language_model.*}" in to_yaml(recipe)
    assert read_recipe(write(to_yaml(recipe))) == recipe


def test_two_parts_of_one_model_are_no_twins_but_one_part_twice_is(
    models: Path, write: Write
) -> None:
    two = RECIPE.replace("./llama", "{path: ./vlm, from: vision_tower.*}")
    assert len(read_recipe(write(two)).models) == 2
    with pytest.raises(RecipeError, match="plain and seeing are the same model"):
        read_recipe(write(two.replace("vision_tower", "language_model")))


def test_a_merge_of_another_part_is_not_gone_on_with(
    models: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = load_file(models / "vlm/model.safetensors")
    more = {f"teacher.{name}": t + 1 for name, t in language_model(models / "vlm").items()}
    save_file(state | more, models / "vlm/model.safetensors")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("alnico.merging.saving.make_record", stop)
        run_recipe(write(RECIPE), models / "out")
    other = write(RECIPE.replace("language_model.*", "teacher.*"))
    with pytest.raises(AlnicoError, match="holds another merge"):
        run_recipe(other, models / "out", options=Options(resume=True))
    run_recipe(write(RECIPE), models / "out", options=Options(resume=True))


def test_faults_of_parts_are_told_at_once(models: Path, write: Write) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe(write(RECIPE.replace("model.*}", "model}").replace("./llama", "{form: x.*}")))
    assert "line 3" in caught.value.message and "it has no * at its end" in caught.value.message
    assert "'form'" in caught.value.message
    near = RECIPE.replace("language_model", "langauge_model").replace(
        "./llama", "{path: ./vlm, from: vision.*}"
    )
    with pytest.raises(AlnicoError, match="2 models cannot be read") as told:
        run_recipe(write(near), models / "out")
    assert "has no tensor 'langauge_model.*'" in told.value.message
    assert told.value.help is not None and "'language_model.*'" in told.value.help
    assert not (models / "out").exists()


def test_a_part_is_not_scored(models: Path, write: Write) -> None:
    (models / "score.py").write_text("def largest(model):\n    return 1.0\n")
    with pytest.raises(RecipeError, match=r"seeing would be a part of one \(from:\)"):
        prepare_judge(f"{models / 'score.py'}:largest", write(RECIPE), Options())
