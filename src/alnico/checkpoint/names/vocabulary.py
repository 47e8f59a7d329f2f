"""Tensors that are indexed by tokens, and those that are one tensor under two names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from alnico.checkpoint.names.layers import Shapes, find_layers

_SIZES = re.compile(
    r"vocab_size|(src|tgt|decoder|padded)_vocab_size|n_vocab|vocab_size_per_layer\w*"
)
_NESTED = re.compile(r"text|language|llm|decoder|thinker")
_EMBEDDINGS = frozenset(
    {
        "embed_tokens",
        "embed_in",
        "shared",
        "tok_embeddings",
        "token_embedding",
        "word_embedding",
        "word_embeddings",
        "wte",
    }
)
_ANY_EMBEDDINGS = frozenset({"embedding", "embeddings"})  # of tokens, if nothing says otherwise
_IN_LAYERS = _EMBEDDINGS | {"head", "lm_head"}  # of layers that predict further tokens
_TOKENS = re.compile(
    r"emb|wte|vocab|token|tok_|word|shared|head|logits|output|pred|decoder|proj_out|lm_"
)
_OTHERS = re.compile(
    r"pos|type|segment|patch|norm|dense|transform|time|label|class|entity|rel|project$|mapping"
)
_ELSEWHERE = re.compile(r"pos|type|segment|patch|time|label|class|vision|visual|image|audio")
_WITH_HEAD = re.compile(
    r"ForCausalLM|LMHead|ForMaskedLM|ForConditionalGeneration|MTModel|ForPreTraining"
)
_OWN_HEADS = {"whisper": "proj_out.weight"}
_TIE = "tie_word_embeddings"


def vocabulary_axes(shapes: Shapes, config: Mapping[str, object] | None) -> dict[str, int]:
    """Tensors with one entry a token, and along which axis: embeddings, output heads, their biases.

    A tensor is one of them if its name says so and its length is a vocabulary's: one that the
    config states, or that of a tensor that cannot be but a token embedding. Where a hidden size or
    a number of positions is the same by chance, the name decides.

    Args:
        shapes: The tensors of one model.
        config: As config.json holds it; None if there is none.
    """
    places = find_layers(shapes).places
    sizes = set(vocabulary_sizes(config or {}).values())
    embeddings = [name for name in shapes if _is_embedding(name, shapes[name])]
    sizes |= {shapes[n][0] for n in embeddings if not sizes or _owner(n) in _EMBEDDINGS}
    found = {}
    for name, shape in shapes.items():
        axis = _axis(name, shape)
        if axis is None or shape[axis] not in sizes:
            continue
        if _owner(name) in _IN_LAYERS if name in places else _is_named_so(name):
            found[name] = axis
    return found


def vocabulary_sizes(config: Mapping[str, object]) -> dict[tuple[str, ...], int]:
    """The numbers of tokens that a config states, by the keys on the way to each.

    Args:
        config: As config.json holds it.
    """
    nested = [
        (key, value)
        for key, value in config.items()
        if isinstance(value, dict) and _NESTED.search(key)
    ]
    ways = [((), config), *(((key,), value) for key, value in nested)]
    return {
        (*way, key): value
        for way, part in ways
        for key, value in part.items()
        if _SIZES.fullmatch(key) and type(value) is int
    }


def tied(config: Mapping[str, object] | None, shapes: Shapes) -> dict[str, str]:
    """Tensors that the file lacks -> those that hold their values, because the config ties them.

    They are the output head (and T5's embeddings of encoder and decoder), tied to the token
    embedding. What the absent tensor would be called follows from its bias, where that is held.

    Args:
        config: As config.json holds it; without `tie_word_embeddings` it means yes, as the library
            that writes these files does.
        shapes: The tensors of one model.
    """
    if config is None or not _says_tied(config):
        return {}
    embeddings = [name for name in shapes if _is_embedding(name, shapes[name])]
    if not embeddings:
        return {}
    embedding = min(embeddings, key=lambda name: _owner(name) != "shared")
    absent = [_head(embedding, config, shapes)]
    if _owner(embedding) == "shared":
        wrapper = embedding.removesuffix("shared.weight")
        absent += [f"{wrapper}{side}.embed_tokens.weight" for side in ("encoder", "decoder")]
    return {name: embedding for name in absent if name not in shapes}


def _says_tied(config: Mapping[str, object]) -> bool:
    architectures = config.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else ""
    text = config.get("text_config")
    nested = text.get(_TIE) if isinstance(text, dict) else None
    has_head = isinstance(first, str) and _WITH_HEAD.search(first) is not None
    return has_head and config.get(_TIE, nested) in (True, None)


def _head(embedding: str, config: Mapping[str, object], shapes: Shapes) -> str:
    """The output head's weight: one that is held, or what it would be called beside its bias."""
    axes = vocabulary_axes(shapes, config)
    stems = []
    for name in axes:
        if name.endswith(".weight") and not _is_embedding(name, shapes[name]):
            return name
        if name.endswith(".bias"):
            stems.append(name.removesuffix(".bias"))
    for stem in stems:
        is_alone = not any(n.startswith(f"{stem}.") and n != f"{stem}.bias" for n in shapes)
        return f"{stem}.weight" if is_alone else f"{stem}.decoder.weight"
    own = _OWN_HEADS.get(str(config.get("model_type")), "lm_head.weight")
    inner = "model.embed_tokens.weight"
    return embedding.removesuffix(inner) + own if embedding.endswith(inner) else own


def _owner(name: str) -> str:
    """What a weight or bias belongs to: the last word of its name that is neither, nor a number."""
    words = [w for w in name.split(".") if w not in ("weight", "bias") and not w.isdigit()]
    return words[-1] if words else ""


def _is_embedding(name: str, shape: tuple[int, ...]) -> bool:
    owner = _owner(name)
    is_any = owner in _ANY_EMBEDDINGS and not _ELSEWHERE.search(name)
    return len(shape) == 2 and (owner in _EMBEDDINGS or is_any)


def _is_named_so(name: str) -> bool:
    owner = _owner(name)
    others = _ELSEWHERE.search(name) if owner in _ANY_EMBEDDINGS else _OTHERS.search(owner)
    return bool(_TOKENS.search(owner)) and not others


def _axis(name: str, shape: tuple[int, ...]) -> int | None:
    """Where tokens would be counted: rows of a matrix, or entries of a bias, which may lie flat."""
    if name.endswith("bias"):
        return len(shape) - 1 if len(shape) == 1 or (len(shape) == 2 and shape[0] == 1) else None
    return 0 if len(shape) == 2 else None
