"""Tokenizer blocks of mergekit's recipes, from the YAML to the rows of the result."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from alnico.errors import UnknownNameError
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
