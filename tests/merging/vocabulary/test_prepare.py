from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from itertools import product
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from alnico.errors import DataError, IncompatibleModelsError, UnknownNameError
from alnico.merging.vocabulary import TokenSource, Vocabulary

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def expected(family: Any, names: str, token: str, tensor: str, *, base: str | None) -> Tensor:
    """The mean of a token's rows, by the rules for models that lack it; a loop over models."""
    models = {name: family.models[name] for name in names.split()}
    own = {n: m.row(token, tensor) for n, m in models.items() if token in m.vocabulary}
    mean = torch.stack(list(own.values())).mean(0)
    return torch.stack([own.get(name, own.get(base, mean)) for name in models]).mean(0)


@pytest.mark.parametrize("base", ["a", None])
@pytest.mark.parametrize("tensor", [EMBEDDING, HEAD])
def test_every_token_of_a_union_is_merged_with_its_namesakes(
    three: Any, tensor: str, base: str | None
) -> None:
    merged = three.merge("a b c", Vocabulary("union"), base=None if base is None else 0)
    every = {token for name in "abc" for token in three.models[name].vocabulary}
    assert merged.vocabulary.keys() == every
    assert sorted(merged.vocabulary.values()) == list(range(len(every)))
    for token in every:
        row = expected(three, "a b c", token, tensor, base=base)
        torch.testing.assert_close(merged.row(token, tensor), row, msg=token)
    assert merged.json()["vocab_size"] == len(every) == len(merged.tensors[tensor])


@pytest.mark.parametrize("owner", ["a", "b", "c"])
def test_a_models_vocabulary_keeps_its_numbers(three: Any, owner: str) -> None:
    merged = three.merge("a b c", Vocabulary("model", owner))
    assert merged.vocabulary == three.models[owner].vocabulary
    for token, tensor in product(merged.vocabulary, (EMBEDDING, HEAD)):
        row = expected(three, "a b c", token, tensor, base="a")
        torch.testing.assert_close(merged.row(token, tensor), row, msg=token)


def test_the_vocabulary_of_the_base_is_a_models(three: Any) -> None:
    merged = three.merge("a b c", Vocabulary("base"), base=1, donor=1)
    assert merged.vocabulary == three.models["b"].vocabulary
    assert "tokens of a are left out: '<pad>', 'the', 'cat', 'on', 'mat'" in merged.said


def test_all_else_is_merged_as_ever(three: Any) -> None:
    merged = three.merge("a b c")
    norms = [three.models[name].tensors["model.norm.weight"] for name in "abc"]
    torch.testing.assert_close(merged.tensors["model.norm.weight"], torch.stack(norms).mean(0))


def test_models_of_one_vocabulary_are_left_as_they_are(family: Any) -> None:
    for name in "ab":
        family.add(name, "the cat", n_rows=16)
    merged = family.merge("a b")
    for name in (EMBEDDING, HEAD):
        mean = torch.stack([family.models[each].tensors[name] for each in "ab"]).mean(0)
        torch.testing.assert_close(merged.tensors[name], mean)
    files = [folder / "tokenizer.json" for folder in (merged.folder, family.folder / "a")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_rows_of_no_token_stay(family: Any) -> None:
    family.add("a", "the cat", n_rows=16)
    family.add("b", "the cat sat", n_rows=12)
    merged = family.merge("a b").tensors[EMBEDDING]
    a, b = (family.models[name].tensors[EMBEDDING] for name in "ab")
    assert len(merged) == 16
    torch.testing.assert_close(merged[:4], (a[:4] + b[:4]) / 2)
    torch.testing.assert_close(merged[4], b[4])  # a token of b, where a has a row of no token
    torch.testing.assert_close(merged[5:12], (a[5:12] + b[5:12]) / 2)
    torch.testing.assert_close(merged[12:], a[12:])


def test_embeddings_are_padded_with_their_mean(three: Any) -> None:
    merged = three.merge("a b", Vocabulary("union", pad_to_multiple_of=8))
    n = len(merged.vocabulary)
    for name in (EMBEDDING, HEAD):
        tensor = merged.tensors[name]
        assert len(tensor) == 16 and n == 13
        torch.testing.assert_close(tensor[n:], tensor[:n].mean(0).expand(3, -1))
    assert merged.json()["vocab_size"] == 16


def test_a_number_of_embeddings_that_is_asked_for_drops_rows_of_no_token(family: Any) -> None:
    for name in "ab":
        family.add(name, "the cat", n_rows=16)
    merged = family.merge("a b", Vocabulary("base", pad_to_multiple_of=1))
    assert len(merged.tensors[EMBEDDING]) == 4 and merged.json()["vocab_size"] == 4


def test_a_token_beyond_the_embeddings_of_a_model_is_none_of_its(family: Any) -> None:
    family.add("a", "the cat")
    family.add("b", "the dog", added=["<pad>"], n_rows=4)
    merged = family.merge("a b")
    assert "<pad>" not in merged.vocabulary and "dog" in merged.vocabulary


def test_a_token_of_the_owner_that_no_model_embeds_gets_zeros_and_is_named(family: Any) -> None:
    family.add("a", "the cat", added=["<pad>"], n_rows=4)
    family.add("b", "the cat", n_rows=4)
    merged = family.merge("a b", Vocabulary("base"))
    assert merged.row("<pad>").eq(0).all() and len(merged.tensors[EMBEDDING]) == 5
    assert "embeddings are zeros, where no model has one: '<pad>'" in merged.said


@pytest.mark.parametrize("force", [False, True])
def test_a_token_takes_the_embedding_of_its_source(three: Any, force: bool) -> None:
    rules = {
        "gato": TokenSource("c", token="cat", force=force),
        "mat": TokenSource("c", token_id=3, force=force),
        "dog": TokenSource(force=force),
        "la": TokenSource("c", force=force),
    }
    merged = three.merge("a b c", Vocabulary("union", tokens=rules))
    rows = {name: three.models[name].row for name in "abc"}
    given = {"gato": rows["c"]("cat"), "mat": rows["c"]("the"), "la": rows["c"]("la")}
    given["dog"] = torch.zeros(8)
    for token, row in given.items():
        models = [
            row if force or token not in three.models[name].vocabulary else rows[name](token)
            for name in "abc"
        ]
        torch.testing.assert_close(merged.row(token), torch.stack(models).mean(0), msg=token)


def test_a_token_that_is_asked_for_is_added_as_its_source_has_it(three: Any) -> None:
    rules = {"<|im_start|>": TokenSource("b"), "<new>": TokenSource("b", token="sat")}
    merged = three.merge("a c", Vocabulary("base", tokens=rules), others="b")
    torch.testing.assert_close(merged.row("<new>"), three.models["b"].row("sat"))
    torch.testing.assert_close(merged.row("<|im_start|>"), three.models["b"].row("<|im_start|>"))
    added = {each["content"]: each for each in merged.json("tokenizer.json")["added_tokens"]}
    assert added["<|im_start|>"]["special"] and not added["<new>"]["special"]


def test_a_tied_head_takes_the_rows_of_embeddings(family: Any) -> None:
    family.add("a", "the cat")
    family.add("b", "dog the", head=False, tie_word_embeddings=True)
    merged = family.merge("a b")
    a, b = family.models["a"], family.models["b"]
    torch.testing.assert_close(merged.row("the", HEAD), (a.row("the", HEAD) + b.row("the")) / 2)
    torch.testing.assert_close(merged.row("dog", HEAD), b.row("dog"))


def test_models_of_several_dtypes_lend_each_other_rows(family: Any) -> None:
    family.add("a", "the cat", dtype=torch.bfloat16)
    family.add("b", "dog", dtype=torch.float32)
    merged = family.merge("a b")
    assert merged.tensors[EMBEDDING].dtype == torch.bfloat16
    row = family.models["b"].row("dog")
    torch.testing.assert_close(merged.row("dog").float(), row, atol=0, rtol=2**-8)


def test_a_bias_of_tokens_is_renumbered_too(family: Any) -> None:
    family.add("a", "the cat")
    family.add("b", "cat the")
    axes = {EMBEDDING: 0, HEAD: 0, "lm_head.bias": 1}
    for name in "ab":
        tensors = family.models[name].tensors
        tensors["lm_head.bias"] = torch.randn(1, 4)
        save_file(tensors, family.folder / name / "model.safetensors")
    merged = family.merge("a b", axes=axes).tensors["lm_head.bias"]
    a, b = (family.models[name].tensors["lm_head.bias"] for name in "ab")
    torch.testing.assert_close(merged, (a + b[:, [0, 1, 3, 2]]) / 2)


def test_numbers_do_not_depend_on_the_hash_seed_and_need_no_torch(three: Any) -> None:
    script = """
import sys
from contextlib import ExitStack
from pathlib import Path
from alnico.checkpoint.opened import open_checkpoint
from alnico.merging.steps import Form, Input, Plan, Step
from alnico.merging.vocabulary import Vocabulary, prepare
place, *paths = sys.argv[1:]
name = "model.embed_tokens.weight"
step = Step(name, Form("F32", (8, 8)), "copy", (Input(1, name),))
with ExitStack() as stack:
    models = [stack.enter_context(open_checkpoint(path)) for path in paths]
    prepared = prepare(Plan(tuple(paths), (step,)), models, Vocabulary(), axes={name: 0})
    prepared.write_files(Path(place))
    total = prepared.models[-1].array(name).sum()
    print(prepared.key, prepared.said, total, "torch" in sys.modules)
"""
    folders = [str(three.folder / name) for name in "abc"]
    found = []
    for seed in ("1", "2"):
        place = three.folder / f"seed {seed}"
        place.mkdir()
        told = subprocess.run(
            [sys.executable, "-c", script, str(place), *folders],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        found.append((told, (place / "tokenizer.json").read_bytes()))
    assert found[0] == found[1] and b"False" in found[0][0]


def test_a_model_without_a_tokenizer_is_taken_to_have_the_owners(three: Any) -> None:
    shutil.copytree(three.folder / "a", three.folder / "bare")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (three.folder / "bare" / name).unlink()
    merged = three.merge("a bare")
    assert merged.vocabulary == three.models["a"].vocabulary
    assert "bare has no tokenizer: it is taken to be that of a" in merged.said


def test_the_owner_needs_a_tokenizer(three: Any) -> None:
    (three.folder / "a" / "tokenizer.json").unlink()
    with pytest.raises(DataError, match="a has no tokenizer in its folder"):
        three.merge("a b")


def test_a_model_that_is_none_is_named(three: Any) -> None:
    with pytest.raises(UnknownNameError, match="of 'bb', which is none") as caught:
        three.merge("a b c", Vocabulary("model", "bb"))
    assert caught.value.help == "did you mean 'b'?"


def test_vocabularies_are_not_joined_where_no_tensor_is_known_to_have_them(three: Any) -> None:
    with pytest.raises(IncompatibleModelsError, match="a and b are to have one vocabulary"):
        three.merge("a b", axes={})


def test_transformers_reads_the_result(three: Any) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    merged = three.merge("a b c")
    tokenizer = AutoTokenizer.from_pretrained(merged.folder)
    assert tokenizer.get_vocab() == merged.vocabulary
    assert tokenizer.decode([merged.vocabulary["<|im_start|>"]], skip_special_tokens=True) == ""
    text = "the gato sat <|im_start|> dog"
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert [tokenizer.convert_ids_to_tokens(i) for i in ids] == text.split()
    model, found = AutoModelForCausalLM.from_pretrained(merged.folder, output_loading_info=True)
    assert not any(found.values()), found
    for token in ("gato", "<|im_start|>"):
        row = model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids(token)]
        assert torch.equal(row, merged.row(token))


def test_numbers_that_the_config_means_move_with_their_tokens(family: Any) -> None:
    family.add("a", "the cat", added=["<pad>"], pad_token_id=4, image_token_id=3)
    family.add("b", "cat dog the", added=["<pad>"], eos_token_id=[1, 5])
    says = {"pad_token_id": 4, "eos_token_id": 1, "top_k": 4}
    (family.folder / "a" / "generation_config.json").write_text(json.dumps(says))
    merged = family.merge("a b", Vocabulary("model", "b"))
    config = merged.json()
    assert config["pad_token_id"] == 5 and config["image_token_id"] == 2
    assert config["eos_token_id"] == [1, 5] and config["vocab_size"] == 6
    says = {"pad_token_id": 5, "eos_token_id": [1, 5], "top_k": 4}
    assert merged.json("generation_config.json") == says


MERGEKIT = """
base_model: {base}
merge_method: linear
models: [{models}]
tokenizer: {tokenizer}
"""


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "asked",
    [
        Vocabulary("base", exact=True),
        Vocabulary("union", exact=True),
        Vocabulary("base", pad_to_multiple_of=8, exact=True),
    ],
    ids=["base", "union", "padded"],
)
def test_rows_are_mergekits(family: Any, asked: Vocabulary, dtype: torch.dtype) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = pytest.importorskip("mergekit.config")
        merge = pytest.importorskip("mergekit.merge")
        options = pytest.importorskip("mergekit.options")
    words = {"a": "cat the", "b": "dog cat el", "c": "dog el the", "d": "la dog"}
    for name, text in words.items():
        family.add(name, text, dtype=dtype)
    merged = family.merge("a b c d", asked)
    place = family.folder / "theirs"
    text = MERGEKIT.format(
        base=family.folder / "a",
        models=", ".join(
            f"{{model: {family.folder / n}, parameters: {{weight: 1}}}}" for n in words
        ),
        tokenizer=json.dumps(
            {"source": asked.kind, "pad_to_multiple_of": asked.pad_to_multiple_of}
        ),
    )
    recipe = config.MergeConfiguration.model_validate(yaml.safe_load(text))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        merge.run_merge(recipe, str(place), options.MergeOptions(device="cpu", quiet=True))
    theirs = type(merged)(place, ())
    assert theirs.vocabulary.keys() == merged.vocabulary.keys()
    for token, tensor in product(merged.vocabulary, (EMBEDDING, HEAD)):
        assert torch.equal(merged.row(token, tensor), theirs.row(token, tensor)), token
    if asked.pad_to_multiple_of:
        n = len(merged.vocabulary)
        assert torch.equal(merged.tensors[EMBEDDING][n:], theirs.tensors[EMBEDDING][n:])
