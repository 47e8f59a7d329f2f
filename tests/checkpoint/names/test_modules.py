from __future__ import annotations

from pathlib import Path

import pytest
from zoo import make, save

from alnico.checkpoint.names import find_layers


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("llama", ["lm_head", "model"]),
        ("bert_mlm", ["bert", "cls"]),
        ("t5", ["decoder", "encoder", "shared"]),
        ("bart", ["final_logits_bias", "model.decoder", "model.encoder", "model.shared"]),
        ("resnet", ["classifier", "resnet"]),
        ("segformer", ["classifier", "segformer"]),
        ("llava", ["language_model", "multi_modal_projector", "vision_tower"]),
        ("qwen3_vl", ["lm_head", "model.language_model", "model.visual"]),
        (
            "clip",
            ["logit_scale", "text_model", "text_projection", "vision_model", "visual_projection"],
        ),
    ],
)
def test_modules_of_real_models(kind: str, expected: list[str], tmp_path: Path) -> None:
    shapes, _ = save(make(kind), tmp_path)
    assert sorted(find_layers(shapes).modules) == expected


@pytest.mark.parametrize("kind", ["albert", "bart", "gemma3", "qwen3_vl", "swin", "wav2vec2"])
def test_every_tensor_is_in_the_one_module_that_it_begins_with(kind: str, tmp_path: Path) -> None:
    shapes, _ = save(make(kind), tmp_path)
    modules = find_layers(shapes).modules
    assert sorted(name for names in modules.values() for name in names) == sorted(shapes)
    for module, names in modules.items():
        assert all(f"{name}.".startswith(f"{module}.") for name in names)
        begins = [name for name in shapes if f"{name}.".startswith(f"{module}.")]
        assert list(names) == begins


def test_wrappers_around_modules_are_none() -> None:
    stack = "a.b.{}.layers.{}.w.weight"
    names = [stack.format(part, i) for part in ("text", "image") for i in range(2)]
    shapes = dict.fromkeys([*names, "a.scale", "a.b.norm.weight", "head.weight"], (2, 2))
    modules = find_layers(shapes).modules
    assert list(modules) == ["a.b.text", "a.b.image", "a.scale", "a.b.norm", "head"]


def test_a_model_without_stacks_has_the_modules_that_its_names_begin_with() -> None:
    shapes = dict.fromkeys(["a.weight", "a.b.bias", "c"], (2,))
    assert find_layers(shapes).modules == {"a": ("a.weight", "a.b.bias"), "c": ("c",)}
