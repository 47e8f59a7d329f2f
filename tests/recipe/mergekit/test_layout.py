from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from alnico.errors import IncompatibleModelsError, RecipeError
from alnico.recipe.mergekit.layout import Target, depth, lay_out, n_layers
from alnico.recipe.mergekit.models import describe
from alnico.recipe.mergekit.schema import WHOLE, MergekitRecipe

Lay = Callable[..., list[Target]]

STACKED = """\
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 3]}]
  - sources: [{model: b, layer_range: [1, 2]}]
  - sources: [{model: a, layer_range: [2, 4]}]
"""
UNEVEN = """\
merge_method: linear
parameters: {weight: 1}
slices:
  - sources: [{model: a, layer_range: [0, 2]}]
  - sources: [{model: b, layer_range: [0, 2]}, {model: a, layer_range: [2, 4]}]
"""
WHOLES = "merge_method: linear\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1}\n"


@pytest.fixture
def lay(read: Callable[..., MergekitRecipe]) -> Lay:
    def lay(text: str, *, exact: bool = False, **opened: Any) -> list[Target]:
        recipe = read(text)
        models = {one: describe(str(one), opened[str(one)]) for one in recipe.models}
        names = {one: list(model.forms) for one, model in models.items()}
        return lay_out(recipe.modules[WHOLE], models, names, exact=exact)

    return lay


def test_layers_of_slices_are_numbered_anew(lay: Lay, llama: Callable[..., Any]) -> None:
    found = lay(STACKED, a=llama(4), b=llama(4))
    inner = "mlp.up_proj.weight"
    assert {t.name: t.origins[0] for t in found if t.name.endswith(inner)} == {
        f"model.layers.{new}.{inner}": f"model.layers.{old}.{inner}"
        for new, old in enumerate([0, 1, 2, 1, 2, 3])
    }
    assert found[0].name == "model.embed_tokens.weight"
    assert [t.name for t in found][-2:] == ["model.norm.weight", "lm_head.weight"]
    assert len(found) == len({t.name for t in found}) == 3 + 6 * 3


def test_depth_goes_from_0_to_1_in_each_slice_and_is_1_in_a_slice_of_one_layer(
    lay: Lay, llama: Callable[..., Any]
) -> None:
    found = lay(STACKED, a=llama(4), b=llama(4))
    layers = [t.t for t in found if "up_proj" in t.name]
    assert layers == [0.0, 0.5, 1.0, 1.0, 0.0, 1.0]
    assert {t.t for t in found if "layers" not in t.name} == {0.0}
    assert [depth(i, 4) for i in range(4)] == [0, 1 / 3, 2 / 3, 1]


def test_what_is_before_layers_follows_the_first_slice_and_what_is_after_the_last(
    lay: Lay, llama: Callable[..., Any]
) -> None:
    found = {t.name: t for t in lay(UNEVEN, a=llama(4), b=llama(4))}
    assert [s.model.path for s in found["model.embed_tokens.weight"].part.sources] == ["a"]
    head = found["lm_head.weight"]
    assert [s.model.path for s in head.part.sources] == ["b", "a"] and len(head.origins) == 2


def test_mergekit_itself_takes_no_more_models_after_the_layers_than_before(
    lay: Lay, llama: Callable[..., Any]
) -> None:
    found = {t.name: t for t in lay(UNEVEN, exact=True, a=llama(4), b=llama(4))}
    assert len(found["lm_head.weight"].origins) == len(found["model.norm.weight"].origins) == 1
    assert len(found["model.layers.3.mlp.up_proj.weight"].origins) == 2


def test_whole_models_keep_their_names_and_are_joined(
    lay: Lay, llama: Callable[..., Any], stack: Callable[..., Any]
) -> None:
    more = stack(2, "vision.blocks.", width=4, dtype="F32")
    found = lay(WHOLES, a=llama(3), b=llama(3, more=more))
    assert {t.name for t in found} == set(llama(3, more=more).tensors)
    assert all(t.origins == (t.name, t.name) for t in found)
    depths = {t.name: t.t for t in found}
    assert depths["model.layers.1.mlp.up_proj.weight"] == 0.5
    assert depths["vision.blocks.1.mlp.up_proj.weight"] == 1.0


def test_the_layers_of_slices_are_counted(read: Callable[..., MergekitRecipe]) -> None:
    assert n_layers(read(STACKED).modules[WHOLE]) == 6
    assert n_layers(read(WHOLES).modules[WHOLE]) is None


def test_a_range_past_the_end_is_told_with_the_number_of_layers(
    lay: Lay, llama: Callable[..., Any]
) -> None:
    with pytest.raises(RecipeError, match=r"\[2, 4\] is past the end of a: it has 3 layers") as e:
        lay(STACKED, a=llama(3), b=llama(3))
    assert e.value.help == "the whole of it is [0, 3]"


def test_slices_need_one_stack(
    lay: Lay, llama: Callable[..., Any], stack: Callable[..., Any]
) -> None:
    more = stack(2, "vision.blocks.", width=4, dtype="F32")
    with pytest.raises(
        RecipeError, match=r"slices need one stack of layers; a has model\.layers, v"
    ):
        lay(STACKED, a=llama(4, more=more), b=llama(4))
    with pytest.raises(RecipeError, match="slices need one stack of layers; b has none"):
        lay(STACKED, a=llama(4), b=llama(0))


def test_whole_models_need_equally_many_layers(lay: Lay, llama: Callable[..., Any]) -> None:
    with pytest.raises(
        IncompatibleModelsError, match=r"a has 4 layers in model\.layers, and b has"
    ):
        lay(WHOLES, a=llama(4), b=llama(5))
