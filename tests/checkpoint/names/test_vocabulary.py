"""Against transformers: what changes its shape when a vocabulary grows, and what it ties."""

from __future__ import annotations

from pathlib import Path

import pytest
from zoo import KINDS, audio, experts, joint, make, save, text, zoo

from alnico.checkpoint.names import tied, vocabulary_axes

WITH_TOKENS = {*text.KINDS, *experts.KINDS, *joint.KINDS, "whisper"} - {"clip"}  # cannot resize
QUICK = ("llama", "phi", "bert_mlm", "bart", "gpt_neox", "modernbert", "t5", "internvl", "whisper")
SAME_SIZE = {"vocab_size": 16, "max_position_embeddings": 16, "n_positions": 16}


def quick_or_slow(kinds: list[str]) -> list[object]:
    return [k if k in QUICK else pytest.param(k, marks=pytest.mark.slow) for k in kinds]


@pytest.mark.parametrize("kind", quick_or_slow([k for k in KINDS if k in WITH_TOKENS]))
def test_tokens_are_counted_where_a_larger_vocabulary_makes_a_tensor_grow(
    kind: str, tmp_path: Path
) -> None:
    model = make(kind)
    shapes, config = save(model, tmp_path / "a")
    model.resize_token_embeddings(56, mean_resizing=False)
    larger, _ = save(model, tmp_path / "b")
    grown = {
        name: next(i for i, n in enumerate(shape) if larger[name][i] != n)
        for name, shape in shapes.items()
        if larger[name] != shape
    }
    assert grown
    assert vocabulary_axes(shapes, config) == grown
    assert vocabulary_axes(shapes, None) == grown  # from the token embedding's own length


@pytest.mark.parametrize("kind", ["bert_mlm", "roberta_mlm", "gpt2", "opt", "electra", "llama"])
def test_names_decide_where_a_vocabulary_is_as_long_as_everything_else(
    kind: str, tmp_path: Path
) -> None:
    cls, config = zoo(kind)
    shapes, said = save(make(kind), tmp_path / "a")
    settings = {**KINDS[kind][1], **{k: v for k, v in SAME_SIZE.items() if hasattr(config, k)}}
    same, also = save(make(kind, config=cls.config_class(**settings)), tmp_path / "b")
    assert (
        also["vocab_size"] == 16 == max(same["lm_head.weight"]) if "lm_head.weight" in same else 1
    )
    assert vocabulary_axes(same, also) == vocabulary_axes(shapes, said)


@pytest.mark.parametrize("kind", ["vit", "beit", "resnet", "hubert", "convnext"])
def test_models_without_tokens_have_no_such_tensors(kind: str, tmp_path: Path) -> None:
    shapes, config = save(make(kind), tmp_path)
    assert vocabulary_axes(shapes, config) == {}


def test_layers_that_predict_further_tokens_have_embeddings_and_heads_of_their_own() -> None:
    shapes = {
        "model.embed_tokens.weight": (48, 16),
        "model.layers.0.mlp.head_proj.weight": (48, 16),
        "model.layers.0.mlp.out.bias": (48,),
        "model.layers.1.embed_tokens.weight": (48, 16),
        "model.layers.1.shared_head.head.weight": (48, 16),
        "model.layers.1.shared_head.norm.weight": (48,),
    }
    assert set(vocabulary_axes(shapes, {"vocab_size": 48})) == {
        "model.embed_tokens.weight",
        "model.layers.1.embed_tokens.weight",
        "model.layers.1.shared_head.head.weight",
    }


def test_a_vocabulary_of_types_or_images_is_none_of_tokens() -> None:
    shapes = {"embeddings.token_type_embeddings.weight": (2, 8), "vocab_proj.weight": (9, 8)}
    sizes = {"type_vocab_size": 2, "vision_config": {"vocab_size": 9}}
    assert vocabulary_axes(shapes, sizes) == {}
    assert vocabulary_axes(shapes, {"text_config": {"vocab_size": 9}}) == {"vocab_proj.weight": 0}


def test_any_embedding_is_of_tokens_unless_its_path_says_otherwise() -> None:
    tokens = {"emb.embedding.weight": (48, 8), "head.weight": (48, 8)}
    others = {"position.embedding.weight": (48, 8), "vision.embeddings.weight": (9, 8)}
    assert set(vocabulary_axes(tokens | others, {"vocab_size": 48})) == set(tokens)
    assert set(vocabulary_axes(tokens | others, None)) == set(tokens)
    assert vocabulary_axes({"codes.embedding.weight": (9, 8)}, {"vocab_size": 48}) == {}


@pytest.mark.parametrize(
    "kind",
    quick_or_slow([*text.KINDS, *experts.KINDS, *audio.KINDS]),
)
def test_what_the_file_lacks_is_what_transformers_ties(kind: str, tmp_path: Path) -> None:
    model = make(kind)
    shapes, config = save(model, tmp_path)
    found = tied(config, shapes)
    held = {name: tensor.data_ptr() for name, tensor in model.state_dict().items()}
    assert {name: held[name] for name in found} == {n: held[source] for n, source in found.items()}
    shared = {held[name] for name in shapes.keys() & held.keys()}
    absent = {name for name in held.keys() - shapes.keys() if held[name] in shared}
    assert found.keys() == {name for name in absent if name.endswith("weight")}


@pytest.mark.parametrize("kind", ["mistral3", "gemma3", "paligemma", "internvl"])
def test_a_language_model_in_a_wrapper_has_its_head_there(kind: str, tmp_path: Path) -> None:
    shapes, config = save(make(kind), tmp_path)
    inner = "language_model.model.embed_tokens.weight"
    assert tied(config, shapes) == {"language_model.lm_head.weight": inner}


def test_only_what_the_config_ties_is_tied(tmp_path: Path) -> None:
    shapes, config = save(make("llama_tied"), tmp_path)
    pair = {"lm_head.weight": "model.embed_tokens.weight"}
    assert tied(config, shapes) == pair
    assert tied({**config, "tie_word_embeddings": False}, shapes) == {}
    assert tied({k: v for k, v in config.items() if k != "tie_word_embeddings"}, shapes) == pair
    assert tied({**config, "architectures": ["LlamaModel"]}, shapes) == {}
    assert tied({**config, "architectures": None}, shapes) == {}
    assert tied(None, shapes) == {}
    assert tied(config, shapes | {"lm_head.weight": (48, 16)}) == {}
    assert tied(config, {"model.norm.weight": (16,)}) == {}
