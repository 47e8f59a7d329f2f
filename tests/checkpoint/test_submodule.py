"""Parts of models: their tensors to the bit, and the config that transformers makes for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig
from zoo import make

from alnico.checkpoint.opened import open_checkpoint
from alnico.checkpoint.submodule import Submodule, named_part, prefix_of
from alnico.errors import AlnicoError, DataError, RecipeError, UnknownNameError

Saved = Callable[[str], Path]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """A model of the zoo on disk, made once."""
    root = tmp_path_factory.mktemp("zoo")

    def folder(kind: str) -> Path:
        if not (root / kind).exists():
            make(kind).save_pretrained(root / kind)
        return root / kind

    return folder


def test_a_part_has_the_values_of_the_whole_under_the_rest_of_their_names(saved: Saved) -> None:
    begin = "language_model."
    state = load_file(saved("llava") / "model.safetensors")
    expected = {n[len(begin) :]: t for n, t in state.items() if n.startswith(begin)}
    with open_checkpoint(saved("llava")) as whole:
        part = Submodule(whole, "language_model.*")
        assert part.tensors.keys() == expected.keys() and 0 < len(expected) < len(state)
        for name, tensor in expected.items():
            assert torch.equal(part.tensor(name), tensor)
            assert np.array_equal(part.array(name), tensor.numpy())
        assert part.n_bytes == sum(tensor.nbytes for tensor in expected.values())
        assert (part.dtype, part.metadata) == ("F32", whole.metadata)
        assert part.files == whole.files and part.folder == whole.folder
        assert str(part.path) == f"{saved('llava')} (language_model.*)"


def test_entries_are_read_from_anywhere_in_a_tensor_of_any_dtype(tmp_path: Path) -> None:
    state = {"eye.x": torch.randn(5, 7).bfloat16(), "eye.n": torch.arange(9), "ear": torch.ones(1)}
    save_file(state, tmp_path / "x.safetensors")
    with open_checkpoint(tmp_path / "x.safetensors") as whole:
        part = Submodule(whole, "eye.*")
        assert part.config is None and part.folder is None
        out = np.empty(20, np.uint16)
        part.read("x", 3, 23, out)
        assert np.array_equal(out, state["eye.x"].flatten()[3:23].view(torch.uint16).numpy())
        assert torch.equal(part.tensor("n"), state["eye.n"])
        with pytest.raises(UnknownNameError, match=r"x\.safetensors \(eye\.\*\) has no .*'ear'"):
            part.array("ear")


def test_the_files_are_those_of_the_whole_to_check_and_to_close(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    save_file({"eye.x": torch.ones(3)}, file)
    with open_checkpoint(file) as whole:
        with Submodule(whole, "eye.*") as part:
            part.check_unchanged()
        assert part.array("x").tolist() == [1, 1, 1]  # leaving the part did not close the whole
        save_file({"eye.x": torch.zeros(4)}, file)
        with pytest.raises(DataError, match=r"x\.safetensors"):
            part.check_unchanged()


@pytest.mark.parametrize(
    ("kind", "pattern", "key"),
    [
        ("llava", "language_model.*", "text_config"),
        ("llava", "language_model.model.*", "text_config"),
        ("llava", "vision_tower.*", "vision_config"),
        ("clip", "text_model.*", "text_config"),
        ("qwen2_vl", "visual.*", "vision_config"),
        ("qwen3_vl", "model.language_model.*", "text_config"),
        ("blip", "text_decoder.*", "text_config"),
    ],
)
def test_the_config_is_that_of_the_part(kind: str, pattern: str, key: str, saved: Saved) -> None:
    whole_config = AutoConfig.from_pretrained(saved(kind))
    with open_checkpoint(saved(kind)) as whole:
        config = Submodule(whole, pattern).config
    assert config is not None and config["dtype"] == "float32"
    own = getattr(whole_config, key)
    made = AutoConfig.for_model(**config)
    assert type(made) is type(own)
    differ = {k for k, v in own.to_dict().items() if made.to_dict()[k] != v}
    assert differ <= {"dtype", "tie_word_embeddings"}


def test_a_part_without_a_config_of_its_own_has_that_of_the_whole(saved: Saved) -> None:
    with open_checkpoint(saved("llava")) as whole:
        assert Submodule(whole, "multi_modal_projector.*").config == whole.config


def test_the_whole_says_whether_the_head_of_its_text_is_tied(saved: Saved) -> None:
    config = json.loads((saved("internvl") / "config.json").read_text())
    assert config["tie_word_embeddings"] and not config["text_config"]["tie_word_embeddings"]
    with open_checkpoint(saved("internvl")) as whole:
        text = Submodule(whole, "language_model.*")
        assert text.config is not None and text.config["tie_word_embeddings"]
        assert not any("lm_head" in name for name in text.tensors)
        vision = Submodule(whole, "vision_tower.*").config
        assert vision is not None and "tie_word_embeddings" not in vision


@pytest.mark.parametrize(
    ("config", "pattern", "model_type"),
    [
        ({"llm_config": {"model_type": "inner"}}, "language_model.*", "inner"),
        ({"encoder": {"model_type": "inner"}}, "encoder.*", "inner"),
        ({"qformer_config": {"model_type": "inner"}}, "qformer.*", "inner"),
        (
            {"thinker_config": {"vision_config": {"model_type": "inner"}}},
            "thinker.visual.*",
            "inner",
        ),
        ({"text_config": "elsewhere"}, "language_model.*", "outer"),
    ],
)
def test_configs_go_by_several_names_and_lie_in_each_other(
    config: dict[str, object], pattern: str, model_type: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "outer", **config}))
    save_file({pattern.replace("*", "x"): torch.ones(1)}, tmp_path / "model.safetensors")
    with open_checkpoint(tmp_path) as whole:
        found = Submodule(whole, pattern).config
    assert found is not None and found["model_type"] == model_type


@pytest.mark.parametrize(
    ("pattern", "help"),
    [
        ("langauge_model.*", "did you mean 'language_model.*'?"),
        ("model.language_model.*", "did you mean 'language_model.*'?"),
        ("language_model.modle.*", "did you mean 'language_model.model.*'?"),
        ("zzz*", "its parts are language_model.*, multi_modal_projector.*, vision_tower.*"),
    ],
)
def test_a_part_that_is_not_there_points_to_those_that_are(
    pattern: str, help: str, saved: Saved
) -> None:
    with open_checkpoint(saved("llava")) as whole:
        whole.path = "./vlm"
        with pytest.raises(UnknownNameError) as caught:
            Submodule(whole, pattern)
    assert caught.value.message == f"./vlm has no tensor {pattern!r}"
    assert caught.value.help is not None and caught.value.help.startswith(help)


@pytest.mark.parametrize("pattern", ["language_model", "", "*", "a.*.b.*", "a?.*", "[ab].*", "**"])
def test_a_pattern_is_what_names_begin_with_and_one_star(pattern: str) -> None:
    with pytest.raises(RecipeError, match="names no part of a model") as caught:
        prefix_of(pattern)
    assert caught.value.help is not None and caught.value.help.endswith(".*")


def test_a_prefix_need_not_end_at_a_dot_but_leaves_every_tensor_a_name(tmp_path: Path) -> None:
    assert prefix_of("eye_*") == "eye_" and named_part("./x", "eye_*") == "./x (eye_*)"
    save_file({"eye_x": torch.ones(1), "eye": torch.ones(1)}, tmp_path / "x.safetensors")
    with open_checkpoint(tmp_path / "x.safetensors") as whole:
        assert list(Submodule(whole, "eye_*").tensors) == ["x"]
        with pytest.raises(AlnicoError, match="of the name 'eye' nothing is left"):
            Submodule(whole, "eye*")
