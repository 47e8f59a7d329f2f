from __future__ import annotations

from pathlib import Path

import pytest
from zoo import make, save

from alnico.checkpoint.names import find_layers
from alnico.checkpoint.names.sides import is_before

BEFORE = [
    ("model.embed_tokens.weight", "model.layers."),
    ("transformer.wpe.weight", "transformer.h."),
    ("bert.embeddings.LayerNorm.weight", "bert.encoder.layer."),
    ("transformer.word_embeddings_layernorm.bias", "transformer.h."),
    ("vit.embeddings.cls_token", "vit.encoder.layer."),
    ("vit.embeddings.patch_embeddings.projection.weight", "vit.encoder.layer."),
    ("encoder.final_layer_norm.weight", "decoder.block."),
    ("vision_tower.post_layernorm.bias", "language_model.model.layers."),
    ("model.visual.merger.norm.bias", "model.language_model.layers."),
    ("multi_modal_projector.linear_1.weight", "language_model.model.layers."),
]
AFTER = [
    ("model.norm.weight", "model.layers."),
    ("lm_head.weight", "model.layers."),
    ("embed_out.weight", "gpt_neox.layers."),
    ("bert.pooler.dense.weight", "bert.encoder.layer."),
    ("cls.predictions.transform.LayerNorm.weight", "bert.encoder.layer."),
    ("decoder.final_layer_norm.weight", "decoder.block."),
    ("text_projection.weight", "text_model.encoder.layers."),
    ("transformer.ln_f.weight", "transformer.h."),
    ("score.weight", "model.layers."),
    ("encoder.norm.weight", "encoder.layers."),
]


@pytest.mark.parametrize("otherwise", [False, True])
def test_words_of_a_name_say_its_side(otherwise: bool) -> None:
    for name, stack in BEFORE:
        assert is_before(name, stack, otherwise=otherwise), name
    for name, stack in AFTER:
        assert not is_before(name, stack, otherwise=otherwise), name


def test_without_a_word_the_order_in_the_file_says_it() -> None:
    names = ["first", "net.layers.0.w.bias", "net.layers.1.w.bias", "last", "net.embed.weight"]
    found = find_layers(dict.fromkeys(names, (3,)))
    assert found.before == {"first", "net.embed.weight"}
    assert found.after == {"last"}


@pytest.mark.parametrize(
    ("kind", "after"),
    [
        ("llama", {"lm_head.weight", "norm.weight"}),
        ("opt", {"project_out.weight", "final_layer_norm.bias", "final_layer_norm.weight"}),
        ("gpt_neox", {"embed_out.weight", "final_layer_norm.bias", "final_layer_norm.weight"}),
        ("whisper", {"layer_norm.weight", "layer_norm.bias"}),
        ("llava", {"lm_head.weight", "norm.weight"}),
        ("vit", {"layernorm.bias", "layernorm.weight", "classifier.bias", "classifier.weight"}),
        ("mamba2", {"norm_f.weight", "lm_head.weight"}),
    ],
)
def test_what_comes_after_the_layers_of_real_models(
    kind: str, after: set[str], tmp_path: Path
) -> None:
    shapes, _ = save(make(kind), tmp_path)
    found = find_layers(shapes)
    assert {".".join(name.split(".")[-2:]) for name in found.after} == after
