from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from alnico.errors import RecipeError
from alnico.recipe.mergekit.schema import (
    WHOLE,
    MergekitRecipe,
    Reference,
    Rule,
    Slice,
    Source,
    TokenizerBlock,
)
from alnico.recipe.mergekit.table import CONTRACTS

Read = Callable[..., MergekitRecipe]

WHOLE_MODELS = """\
merge_method: ties
base_model: base
models:
  - model: a
    parameters:
      weight: 0.5
      density: [1, 0.7, 0.1]
  - model: b@main
parameters:
  weight:
    - {filter: mlp, value: 1e-1}
    - value: 1
dtype: torch.bfloat16
out_dtype: float32
tokenizer_source: union
"""

SLICES = """\
merge_method: passthrough
slices:
  - sources:
      - {model: a, layer_range: [0, 24]}
  - sources:
      - model: b
        layer_range: [8, 32]
        parameters: {scale: {filter: o_proj, value: 0}}
    parameters: {scale: 1}
"""

MODULES = """\
merge_method: slerp
base_model: a
modules:
  text_decoder:
    slices:
      - sources: &both
          - {model: a, layer_range: [0, 2]}
          - {model: b, layer_range: [0, 2]}
        parameters: {t: [0, 1]}
      - {sources: *both, base_model: b}
  vision_tower:
    models: [{model: a}, {model: b}]
    parameters: {t: 0.5}
"""


def of_method(name: str) -> str:
    """A recipe of each method as people write it: everything is set for the whole recipe."""
    n_others = CONTRACTS[name].changed or {"slerp": 1, "passthrough": 1}.get(name, 2)
    n_others = 1 if CONTRACTS[name].most == 2 else n_others
    lines = [f"merge_method: {name}", "models:", *(f"- model: m{i}" for i in range(n_others))]
    lines += ["base_model: base"] if CONTRACTS[name].base == "required" else []
    values = {bool: "true", int: "3", float: "0.25"}
    settings = [f"  {p.name}: {values[p.kind]}" for p in CONTRACTS[name].parameters.values()]
    return "\n".join([*lines, *(["parameters:", *settings] if settings else [])])


def test_whole_models_are_one_slice_with_the_base_behind(read: Read) -> None:
    recipe = read(WHOLE_MODELS)
    assert (recipe.method, recipe.dtype, recipe.out_dtype) == ("ties", "BF16", "F32")
    (part,) = recipe.modules[WHOLE].slices
    own = {"weight": (Rule(0.5, line=6),), "density": (Rule((1.0, 0.7, 0.1), line=7),)}
    base = Reference("base")
    assert part == Slice(
        (
            Source(Reference("a"), None, own, 4),
            Source(Reference("b", "main"), None, {}, 8),
            Source(base),
        ),
        base,
    )
    assert recipe.parameters == {"weight": (Rule(0.1, "mlp", 11), Rule(1.0, None, 12))}
    assert recipe.tokenizer == TokenizerBlock("union")
    assert recipe.models == (Reference("a"), Reference("b", "main"), base)
    assert recipe.said == ()


def test_slices_keep_their_ranges_and_parameters(read: Read) -> None:
    first, second = read(SLICES).modules[WHOLE].slices
    assert first == Slice((Source(Reference("a"), (0, 24), {}, 4),))
    own = {"scale": (Rule(0.0, "o_proj", 8),)}
    assert second.sources == (Source(Reference("b"), (8, 32), own, 6),)
    assert second.parameters == {"scale": (Rule(1.0, None, 9),)}


def test_modules_may_have_slices_or_models_and_a_slice_a_base_of_its_own(read: Read) -> None:
    recipe = read(MODULES)
    assert list(recipe.modules) == ["text_decoder", "vision_tower"]
    first, second = recipe.modules["text_decoder"].slices
    assert (first.base, second.base) == (Reference("a"), Reference("b"))
    assert first.sources == second.sources and first.parameters["t"][0].value == (0.0, 1.0)
    vision = recipe.modules["vision_tower"]
    assert vision.parameters == {"t": (Rule(0.5, None, 12 + 1),)}
    assert vision.slices[0].sources[0].layers is None


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_recipe_of_every_method_is_read_without_a_word(read: Read, name: str) -> None:
    recipe = read(of_method(name), strict=True)
    assert recipe.method == name and recipe.parameters.keys() == CONTRACTS[name].parameters.keys()
    unused = [f"{one} has no effect on {name}" for one in sorted(CONTRACTS[name].unused)]
    assert sorted(line.split(": ", 1)[1] for line in recipe.said) == unused


@pytest.mark.parametrize("text", [WHOLE_MODELS, SLICES, MODULES, *map(of_method, CONTRACTS)])
def test_mergekit_reads_these_recipes_too(text: str) -> None:
    config = pytest.importorskip("mergekit.config").MergeConfiguration
    assert config.model_validate(yaml.safe_load(text)).merge_method


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("densty: 1", "10: densty is not known to mergekit, nor to alnico"),
        ("base_modle: a", "10: base_modle is not known to mergekit, nor to alnico: did you mean "),
        ("normalize: true", "10: normalize has no effect here: it belongs under parameters"),
        ("embed_slerp: true", "10: embed_slerp has no effect: mergekit left it out after 0.0.4"),
    ],
)
def test_a_key_without_meaning_is_said_and_is_a_fault_if_that_is_asked_for(
    read: Read, more: str, said: str
) -> None:
    text = f"{SLICES}{more}\n"
    assert any(line.startswith(f"recipe.yml:{said}") for line in read(text).said)
    with pytest.raises(RecipeError, match=said.split(": ")[1]):
        read(text, strict=True)


def test_a_residual_weight_does_nothing_as_in_mergekit(read: Read) -> None:
    text = SLICES.replace(
        "  - sources:\n      - {", "  - residual_weight: 0.5\n    sources:\n      - {"
    )
    assert read(text, strict=True).said == (
        "recipe.yml:3: residual_weight has no effect, as in mergekit",
    )


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("merge_method: passthrough", "merge_method: passtrough"), "did you mean 'passthrough'?"),
        (("merge_method: passthrough", "merge_method: consensus_ties"), "ties is the nearest"),
        (("merge_method: passthrough\n", ""), "merge_method must be a text, got nothing"),
        (("[0, 24]", "[0, -1]"), r"layer_range \[0, -1\] holds no layer"),
        (("[0, 24]", "[3, 3]"), r"layer_range \[3, 3\] holds no layer"),
        (("[0, 24]", "[0, true]"), "layer_range must be two whole numbers, got"),
        (
            ("layer_range: [0, 24]", "parameters: {}"),
            "layer_range must be two whole numbers, got n",
        ),
        (("slices:", "models:\n  - model: a\nslices:"), "here is models and slices"),
        (("slices:", "sllices:"), "a recipe has one of models, slices and modules; here is none"),
        (("merge_", "dtype: int8\nmerge_"), "dtype: models cannot be merged in 'int8'"),
        (("merge_", "modules: []\nmerge_"), "here is slices and modules"),
        (
            ("      - {model: a, layer_range: [0, 24]}", "      []"),
            r"sources must be a list with entries, got \[\]",
        ),
        (
            ("      - {model: a,", "      - {model: c, layer_range: [0, 9]}\n      - {model: a,"),
            r"equally many layers, got \[9, 24\]",
        ),
        (
            ("      - {model: a,", "      - {model: c, layer_range: [0, 24]}\n      - {model: a,"),
            "passthrough merges 1 model, base_model among them; got 2",
        ),
    ],
)
def test_what_cannot_be_meant_is_a_fault(read: Read, change: tuple[str, str], fault: str) -> None:
    with pytest.raises(RecipeError, match=fault):
        read(SLICES.replace(*change, 1))


def test_every_fault_is_told_at_once_with_its_line(read: Read) -> None:
    text = SLICES.replace("[0, 24]", "[24, 0]").replace("value: 0", "value: none")
    with pytest.raises(RecipeError) as error:
        read(text + "dtype: half\n")
    lines = str(error.value).splitlines()
    assert lines[0] == "3 faults in recipe.yml"
    assert lines[1].startswith("  line 4 ") and "layer_range [24, 0] holds no layer" in lines[1]
    assert any(line.startswith("  line 8 ") and "scale must be a number" in line for line in lines)
    assert any(line.startswith("  line 10 ") and "dtype: models cannot" in line for line in lines)


def test_a_model_is_merged_with_itself_at_other_layers_alone(read: Read) -> None:
    text = """\
merge_method: linear
parameters: {weight: 1}
slices:
  - sources: [{model: a, layer_range: [0, 2]}, {model: a, layer_range: [1, 3]}]
"""
    assert len(read(text).modules[WHOLE].slices[0].sources) == 2
    with pytest.raises(RecipeError, match=r"a is named twice with layers \[0, 2\]"):
        read(text.replace("[1, 3]", "[0, 2]"))
    with pytest.raises(RecipeError, match="a is the base and cannot be a second source"):
        read(text.replace("linear", "ties") + "base_model: a\n")


def test_a_base_must_be_among_the_sources_of_each_slice_where_it_counts(read: Read) -> None:
    two = "[{model: a, layer_range: [0, 2]}, {model: b, layer_range: [0, 2]}]"
    text = f"slices: [{{sources: {two}}}]\nbase_model: c\nparameters: {{weight: 1}}\n"
    assert read(f"merge_method: linear\n{text}").base == Reference("c")
    with pytest.raises(RecipeError, match="no base_model is among the models"):
        read(f"merge_method: ties\n{text}")
    with pytest.raises(RecipeError, match="base_model c is not among the sources"):
        read(f"merge_method: nuslerp\n{text}")


def test_a_module_needs_slices_or_models(read: Read) -> None:
    with pytest.raises(RecipeError, match="module vision_tower needs either slices or models"):
        read(MODULES.replace("    models: [{model: a}, {model: b}]\n", ""))


def test_a_name_is_kept(read: Read) -> None:
    assert read(f"{SLICES}name: first\n").name == "first" and read(SLICES).name is None
