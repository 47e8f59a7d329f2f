from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from alnico.merging.exact import exact, order_key, seed_all

Run: TypeAlias = Callable[[dict[str, Any], Path], dict[str, Tensor]]
SHARED = {"int8_mask": False, "normalize": False, "rescale": True, "lambda": 1.0}


def test_layers_are_sorted_as_text_by_the_last_of_their_names() -> None:
    names = [["layers.2", "layers.1"], ["layers.10", "layers.0"], ["layers.9", "layers.11"]]
    assert [order_key(x) for x in names] == ["layers.2", "layers.10", "layers.9"]
    assert sorted(names, key=order_key) == [names[1], names[0], names[2]]


def test_a_seed_gives_the_same_numbers_again() -> None:
    seed_all(7)
    first = torch.rand(5)
    seed_all(7)
    assert torch.equal(torch.rand(5), first)


@pytest.fixture(scope="module")
def run_mergekit() -> Run:
    """Run a recipe with mergekit's own seed 5, and read what it wrote."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        merge = pytest.importorskip("mergekit.merge")
        config = pytest.importorskip("mergekit.config")
        options = pytest.importorskip("mergekit.options")

    def run(recipe: dict[str, Any], out: Path) -> dict[str, Tensor]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            settings = options.MergeOptions(random_seed=5, copy_tokenizer=False, quiet=True)
            merge.run_merge(config.MergeConfiguration.model_validate(recipe), str(out), settings)
        return _read(out)

    return run


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base and two models around it: random Llamas of 12 layers, on disk in bfloat16."""
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 12, "vocab_size": 32}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "tie_word_embeddings": False}
    folder = tmp_path_factory.mktemp("llamas")
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **heads)).bfloat16()
    paths = {name: folder / name for name in ("base", "one", "other")}
    for path in paths.values():
        model.save_pretrained(path)
        for parameter in model.parameters():
            parameter.data += torch.randn(parameter.shape) * 0.01
    return paths


def _read(folder: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors |= load_file(path)
    return tensors


def _source(model: Path, weight: float, **more: object) -> dict[str, Any]:
    return {"model": str(model), "parameters": {"weight": weight}} | more


@pytest.mark.parametrize(
    ("method", "dtype"),
    [("dare_linear", "float32"), ("dare_ties", "bfloat16"), ("della", "bfloat16")],
)
def test_a_whole_model_has_mergekits_bits(
    run_mergekit: Run, models: dict[str, Path], tmp_path: Path, method: str, dtype: str
) -> None:
    shared = SHARED | {"density": 0.5} | ({"epsilon": 0.1} if method == "della" else {})
    recipe = {
        "merge_method": method,
        "base_model": str(models["base"]),
        "models": [_source(models["one"], 0.7), _source(models["other"], 0.5)],
        "parameters": shared,
        "dtype": dtype,
    }
    expected = run_mergekit(recipe, tmp_path / "out")
    base, one, other = (_read(models[name]) for name in ("base", "one", "other"))
    assert expected.keys() == base.keys()
    work = getattr(torch, dtype)
    parameters = shared | {"weight": [0.7, 0.5], "density": [0.5, 0.5], "epsilon": [0.1, 0.1]}
    seed_all(5)
    for name in sorted(base, key=lambda name: order_key([name])):
        tensors = [one[name].to(work), other[name].to(work)]
        found = exact[method].function(tensors, base[name].to(work), parameters)
        assert torch.equal(found, expected[name]), name


def test_slices_draw_in_the_order_of_what_they_are_made_of(
    run_mergekit: Run, models: dict[str, Path], tmp_path: Path
) -> None:
    layers = [(0, 0, 0)] * 11 + [(10, 2, 2), (4, 11, 3), (2, 2, 9), (0, 0, 0)]
    slices = []
    for one, other, base in layers:
        ranges = [{"layer_range": [at, at + 1]} for at in (one, other, base)]
        sources = [_source(models["one"], 0.7, **ranges[0])]
        sources.append(_source(models["other"], 0.5, **ranges[1]))
        sources.append({"model": str(models["base"])} | ranges[2])
        slices.append({"sources": sources})
    recipe = {
        "merge_method": "dare_linear",
        "base_model": str(models["base"]),
        "slices": slices,
        "parameters": SHARED | {"density": 0.5},
        "dtype": "float32",
    }
    expected = run_mergekit(recipe, tmp_path / "out")
    read = [_read(models[name]) for name in ("one", "other", "base")]
    parameters = SHARED | {"weight": [0.7, 0.5], "density": [0.5, 0.5]}
    seed_all(5)
    for name, inputs in sorted(_inputs(expected, layers), key=lambda pair: order_key(pair[1])):
        one, other, base = (x[key].float() for x, key in zip(read, inputs, strict=True))
        found = exact["dare_linear"].function([one, other], base, parameters)
        assert torch.equal(found, expected[name]), name


def _inputs(
    tensors: dict[str, Tensor], layers: list[tuple[int, int, int]]
) -> list[tuple[str, list[str]]]:
    """Each tensor of the output, layer by layer, and what it is called in each model."""
    made = []
    for name in sorted(tensors, key=lambda name: int("0" + "".join(re.findall(r"\d+", name)))):
        found = re.search(r"\.(\d+)\.", name)
        if found is None:
            made.append((name, [name] * 3))
        else:
            at = layers[int(found[1])]
            made.append((name, [name.replace(found[0], f".{layer}.") for layer in at]))
    return made
