from __future__ import annotations

import pytest

from alnico.errors import RecipeError
from alnico.recipe.mergekit.modules import divide

LLAVA = [
    "model.language_model.embed_tokens.weight",
    "model.language_model.layers.0.mlp.weight",
    "model.vision_tower.vision_model.encoder.layers.0.mlp.weight",
    "model.multi_modal_projector.linear_1.weight",
    "lm_head.weight",
]
QWEN = ["model.layers.0.mlp.weight", "visual.blocks.0.mlp.weight", "visual.merger.mlp.0.weight"]
T5 = ["shared.weight", "encoder.block.0.w", "decoder.block.0.w", "lm_head.weight"]
THREE = ["text_decoder", "vision_tower", "multi_modal_projector"]


@pytest.mark.parametrize(
    ("names", "modules", "expected"),
    [
        (LLAVA, THREE, [0, 0, 1, 2, 0]),
        (QWEN, THREE, [0, 1, 2]),
        (QWEN, ["visual"], [None, 0, 0]),
        (QWEN, ["text_decoder"], [0, None, None]),
        (LLAVA, ["vision_tower"], [None, None, 0, None, None]),
        (LLAVA, ["language_model"], [0, 0, None, None, None]),
        (T5, ["shared", "encoder", "decoder"], [0, 1, 2, 2]),
        (T5, ["default"], [0, 0, 0, 0]),
    ],
)
def test_a_tensor_is_in_the_module_that_its_name_says(
    names: list[str], modules: list[str], expected: list[int | None]
) -> None:
    found = divide(names, modules, label="cats")
    assert [found.get(name) for name in names] == [
        None if i is None else modules[i] for i in expected
    ]


def test_a_module_without_tensors_is_told_with_a_near_one() -> None:
    with pytest.raises(RecipeError, match=r"module visal: no tensor of cats is in it\n.*'visual'"):
        divide(QWEN, ["visal"], label="cats")
