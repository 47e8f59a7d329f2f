"""What recipes ask of the tokenizer, from the YAML to the rows of the result."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import alnico
from alnico.errors import IncompatibleModelsError, UnknownNameError
from alnico.recipe.flags import from_flags
from alnico.recipe.options import Options
from alnico.recipe.run import run_recipe
from alnico.recipe.showing import foresee

TOKENS = {"a": ["?", "x", "y", "z"], "b": ["?", "y", "w", "x", "v"], "c": ["?", "q", "v"]}
RECIPE = """\
merge_method: linear
models: [{model: ./a, parameters: {weight: 1}}, {model: ./b, parameters: {weight: 1}}]
dtype: float32
"""
STAGES = f"""\
name: both
{RECIPE}tokenizer: {{source: union}}
---
merge_method: passthrough
models: [{{model: both}}]
"""


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    for name, tokens in TOKENS.items():
        Path(name).mkdir()
        ids = {token: i for i, token in enumerate(tokens)}
        tokenizer = {"model": {"type": "WordLevel", "vocab": ids, "unk_token": "?"}}
        whole = {"version": "1.0", "added_tokens": [], **tokenizer}
        Path(name, "tokenizer.json").write_text(json.dumps(whole))
        Path(name, "tokenizer_config.json").write_text('{"unk_token": "?"}')
        Path(name, "config.json").write_text(json.dumps({"vocab_size": len(tokens)}))
        weights = {"embed_tokens.weight": draw.standard_normal((len(tokens), 3), np.float32)}
        weights["layers.0.mlp.weight"] = draw.standard_normal((3, 3), np.float32)
        save_file(weights, f"{name}/model.safetensors")


OWN = """\
alnico: 1
models: {a: ./a, b: ./b, c: ./c}
steps: [{merge: {method: linear, models: [a, b]}}]
"""


def rows(name: str) -> dict[str, np.ndarray]:
    """Token -> embedding."""
    found = json.loads(Path(name, "tokenizer.json").read_text())
    ids = found["model"]["vocab"] | {each["content"]: each["id"] for each in found["added_tokens"]}
    tokens = sorted(ids, key=ids.__getitem__)
    table = load_file(f"{name}/model.safetensors")["embed_tokens.weight"]
    return dict(zip(tokens, table, strict=True))


def write(block: str, text: str = RECIPE) -> Path:
    path = Path("recipe.yml")
    path.write_text(text + block)
    return path


def test_every_token_has_the_merge_of_its_rows() -> None:
    path = write("tokenizer: {source: union}\n")
    (merge,) = foresee(path).merges
    assert merge.config == {"vocab_size": 6}
    assert merge.needs.written == 4 * (6 * 3 + 9)
    run_recipe(path, "out")
    a, b, out = rows("a"), rows("b"), rows("out")
    assert list(out)[:4] == TOKENS["a"] and set(out) == set("?xyzwv")
    for token, row in out.items():
        parents = [each[token] for each in (a, b) if token in each]
        np.testing.assert_allclose(row, np.mean(parents, 0), rtol=1e-6)
    assert json.loads(Path("out/config.json").read_text())["vocab_size"] == 6
    assert [model["path"] for model in run_recipe(path, "two")["models"]] == ["./a", "./b"]


def test_a_recipe_of_alnico_s_own_joins_tokens_as_one_of_mergekit_s_does() -> None:
    run_recipe(write("tokenizer: {source: union}\n"), "theirs")
    path = write("tokenizer: union\n", OWN)
    (merge,) = foresee(path).merges
    assert merge.config == {"vocab_size": 6} and merge.tokenizer == "the union of all models'"
    record = run_recipe(path, "ours")
    theirs, ours = rows("theirs"), rows("ours")
    assert list(ours) == list(theirs)
    np.testing.assert_array_equal(list(ours.values()), list(theirs.values()))
    assert json.loads(Path("ours/config.json").read_text())["vocab_size"] == 6
    assert "tokenizer: union\n" in record["recipe"]


def test_a_base_gives_its_numbers_and_the_rows_that_others_lack() -> None:
    text = OWN.replace("c: ./c}", "b: ./b}\nbase: ./c").replace("b: ./b, b", "b")
    text = text.replace("linear", "task_arithmetic")
    run_recipe(write("tokenizer: base\n", text), "out")
    a, b, base, out = (rows(name) for name in ("a", "b", "c", "out"))
    assert list(out) == TOKENS["c"]
    for token, row in out.items():
        root = base[token]
        expected = root + sum(each.get(token, root) - root for each in (a, b))
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-6)


def test_a_model_of_the_recipe_that_is_not_merged_lends_tokens() -> None:
    block = "{source: b, tokens: {v: {model: c, force: true}, q: {model: c}, n: zero}}"
    run_recipe(write(f"tokenizer: {block}\n", OWN), "out")
    found, lender = rows("out"), rows("c")
    assert list(found) == [*TOKENS["b"], "q", "n"]
    for token in ("v", "q"):
        np.testing.assert_array_equal(found[token], lender[token])
    np.testing.assert_array_equal(found["n"], 0)
    np.testing.assert_array_equal(found["w"], rows("b")["w"])


def test_the_number_of_rows_is_a_multiple_where_that_is_asked() -> None:
    run_recipe(write("tokenizer: {source: union, pad_to_multiple_of: 4}\n", OWN), "out")
    assert len(load_file("out/model.safetensors")["embed_tokens.weight"]) == 8


def test_flags_join_tokens_as_a_recipe_does() -> None:
    run_recipe(from_flags(["a", "./b"], "linear", tokenizer="./b"), "flags")
    run_recipe(write("tokenizer: b\n", OWN), "recipe")
    assert list(rows("flags")) == TOKENS["b"]
    names = ("model.safetensors", "tokenizer.json", "config.json")
    for one, other in ((Path("flags", name), Path("recipe", name)) for name in names):
        assert one.read_bytes() == other.read_bytes()


def test_without_a_tokenizer_vocabularies_of_different_size_are_an_error() -> None:
    fault = r"^a and b have vocabularies of different size: 4 and 5 tokens \(1 tensor\)"
    for asked in (write("", OWN), write("tokenizer: {chat_template: auto}\n", OWN)):
        with pytest.raises(IncompatibleModelsError, match=fault) as error:
            foresee(asked)
        assert "--tokenizer union" in str(error.value.help)
    with pytest.raises(IncompatibleModelsError, match=fault):
        alnico.merge(["a", "b"], "linear")


def test_other_tensors_must_fit_for_all_that_tokens_are_joined() -> None:
    weights = load_file("b/model.safetensors")
    save_file(
        {**weights, "layers.0.mlp.weight": np.ones((3, 4), np.float32)}, "b/model.safetensors"
    )
    with pytest.raises(IncompatibleModelsError, match="differ in the shape of 1 of 2 tensors"):
        foresee(write("tokenizer: union\n", OWN))


def test_a_model_that_is_merged_nowhere_gives_a_token() -> None:
    source = "{v: {source: ./c, force: true}}"
    run_recipe(write(f"tokenizer: {{source: ./b, tokens: {source}}}\n"), "out")
    found = rows("out")
    assert list(found) == TOKENS["b"]
    np.testing.assert_array_equal(found["v"], rows("c")["v"])
    np.testing.assert_array_equal(found["w"], rows("b")["w"])


def test_the_tokenizer_of_a_stage_is_that_of_what_takes_it() -> None:
    run_recipe(write("", STAGES), "out")
    run_recipe(write("tokenizer: {source: union}\n"), "one")
    whole, found = rows("one"), rows("out")
    assert list(found) == list(whole)
    np.testing.assert_array_equal(list(found.values()), list(whole.values()))


def test_a_token_that_no_model_has_is_told_before_a_weight_is_read() -> None:
    block = "tokenizer: {tokens: {v: {source: {kind: model_token, model: ./a, token: nope}}}}\n"
    for call in (lambda: foresee(write(block)), lambda: run_recipe(write(block), "out")):
        with pytest.raises(UnknownNameError, match="nope"):
            call()
    assert not Path("out").exists()


def test_options_reach_a_recipe_with_a_tokenizer() -> None:
    path = write("tokenizer: {source: union}\n")
    run_recipe(path, "out", options=Options(dtype="float16", shard_size=40))
    names = sorted(path.name for path in Path("out").glob("*.safetensors"))
    assert len(names) == 2
    found = load_file(f"out/{names[0]}") | load_file(f"out/{names[1]}")
    assert {array.dtype for array in found.values()} == {np.dtype("float16")}
