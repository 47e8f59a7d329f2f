"""Against transformers: a model with one more layer has the tensors of that layer more."""

from __future__ import annotations

from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedConfig
from zoo import KINDS, make, save, zoo

from alnico.checkpoint.names import Shapes, find_layers, num_layers_keys

STAGES = ("resnet", "regnet", "convnext", "mobilenet_v2", "swin", "segformer")
QUICK = ("llama", "bert_mlm", "t5", "deepseek_v3", "jamba", "vit", "whisper", "llava", "qwen3_vl")


def stacks(shapes: Shapes) -> dict[str, int]:
    return {prefix: stack.count for prefix, stack in find_layers(shapes).stacks.items()}


def like(*names: str, shape: tuple[int, ...] = (4, 4)) -> dict[str, tuple[int, ...]]:
    return dict.fromkeys(names, shape)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("llama", {"model.layers.": 3}),
        ("gpt2", {"transformer.h.": 2}),
        ("bert", {"encoder.layer.": 2}),
        ("albert", {}),  # one layer, used again and again
        ("t5", {"decoder.block.": 2, "encoder.block.": 2}),
        ("bart", {"model.decoder.layers.": 3, "model.encoder.layers.": 2}),
        ("deepseek_v3", {"model.layers.": 3}),
        ("resnet", {f"resnet.encoder.stages.{s}.layers.": n for s, n in ((0, 2), (1, 1))}),
        ("swin", {f"swin.encoder.layers.{s}.blocks.": n for s, n in ((0, 2), (1, 1))}),
        ("mobilenet_v2", {"mobilenet_v2.layer.": 16}),
        ("whisper", {"model.decoder.layers.": 2, "model.encoder.layers.": 2}),
        ("llava", {"language_model.model.layers.": 2, "vision_tower.encoder.layers.": 2}),
        ("qwen3_vl", {"model.language_model.layers.": 2, "model.visual.blocks.": 2}),
        ("musicgen", {"model.decoder.layers.": 2}),
    ],
)
def test_stacks_of_real_models(kind: str, expected: dict[str, int], tmp_path: Path) -> None:
    shapes, _ = save(make(kind), tmp_path)
    assert stacks(shapes) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["h.0.ln_1.weight", "h.1.ln_1.weight", "wte.weight"], {"h.": 2}),
        (["blocks.0.0.conv.weight", "blocks.0.1.conv.weight"], {"blocks.": 1}),
        (
            ["layer1.0.conv1.weight", "layer1.1.conv1.weight", "layer2.0.conv1.weight"],
            {"layer1.": 2},
        ),
        (["visual.transformer.resblocks.0.ln_1.bias"], {"visual.transformer.resblocks.": 1}),
        (["classifier.1.bias", "mlp.0.weight", "mlp.2.weight"], {}),
        (["experts.0.up.weight", "experts.1.up.weight"], {}),
        (["m.layers.1.a.weight", "m.layers.2.a.weight"], {}),  # they do not begin at 0
        (["m.layers.00.a.weight", "m.layers.01.a.weight"], {}),
        (["m.layers.0.a.weight", "m.layers.99999999999.a.weight"], {"m.layers.": 1}),
        (["layers.0", "layers.1"], {}),
        ([], {}),
    ],
)
def test_stacks_of_names(names: list[str], expected: dict[str, int]) -> None:
    assert stacks(like(*names)) == expected


def test_the_outer_number_counts_stages_if_their_shapes_differ() -> None:
    def blocks(widths: list[int]) -> dict[str, tuple[int, ...]]:
        names = [(f"down.{s}.resnets.{i}.conv.weight", s) for s in range(3) for i in range(2)]
        return {name: (widths[s], widths[s], 3, 3) for name, s in names}

    assert stacks(blocks([8, 16, 32])) == {f"down.{s}.resnets.": 2 for s in range(3)}
    assert stacks(blocks([8, 8, 8])) == {"down.": 3}


def test_counters_of_one_entry_say_nothing_of_stages() -> None:
    shapes: dict[str, tuple[int, ...]] = {}
    for stage in range(2):
        for layer in range(2):
            prefix = f"net.{stage}.parts.{layer}.norm"
            shapes[f"{prefix}.weight"] = (8 * (stage + 1),)
            shapes |= {f"{prefix}.{n}.num_batches_tracked": () for n in "abc"}
    assert stacks(shapes) == {"net.0.parts.": 2, "net.1.parts.": 2}


def test_experts_of_different_width_are_still_no_layers() -> None:
    shapes = {
        f"model.layers.{layer}.mlp.experts.{e}.up_proj.weight": (8 + layer, 4)
        for layer in range(4)
        for e in range(16)
    }
    assert stacks(shapes | like(*(f"model.layers.{i}.norm.weight" for i in range(4)))) == {
        "model.layers.": 4
    }


def test_a_place_is_prefix_number_and_inner_name(tmp_path: Path) -> None:
    shapes, _ = save(make("mixtral"), tmp_path)
    found = find_layers(shapes)
    assert len(found.places) == 38
    for name, place in found.places.items():
        assert name == f"{place.prefix}{place.number}.{place.inner}"
        assert place.number < found.stacks[place.prefix].count
    assert any(".experts.3." in f".{place.inner}" for place in found.places.values())


def test_the_main_stack_has_the_most_values() -> None:
    small = like("a.layers.0.w.weight", "a.layers.1.w.weight", "a.layers.2.w.weight", shape=(2, 2))
    large = like("b.layers.0.w.weight", "b.layers.1.w.weight", shape=(5, 5))
    found = find_layers(small | large)
    assert found.main is not None and found.main.prefix == "b.layers."
    assert {stack.n_entries for stack in found.stacks.values()} == {12, 50}
    assert find_layers(like("w")).main is None


def with_one_more(kind: str, config: dict[str, Any]) -> PreTrainedConfig:
    for *outer, key in num_layers_keys(config):
        mapping = reduce(getitem, outer, config)
        value = mapping[key]
        mapping[key] = [*value, value[-1]] if isinstance(value, list) else value + 1
    return zoo(kind)[0].config_class.from_dict(config)


@pytest.mark.parametrize(
    "kind",
    [
        kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow)
        for kind in KINDS
        if kind not in (*STAGES, "albert", "mamba2")  # its config does not read itself back
    ],
)
def test_one_more_layer_in_the_config_is_one_more_in_the_stack(kind: str, tmp_path: Path) -> None:
    shapes, config = save(make(kind), tmp_path / "one")
    more, _ = save(make(kind, config=with_one_more(kind, config)), tmp_path / "more")
    before, after = stacks(shapes), find_layers(more)
    grown = {p for p, stack in after.stacks.items() if stack.count == before[p] + 1}
    assert len(grown) == len([p for p in before if "conv_layers" not in p])
    added = {
        name
        for name, place in after.places.items()
        if place.prefix in grown and place.number == before[place.prefix]
    }
    assert added == more.keys() - shapes.keys()


@pytest.mark.parametrize("kind", [*STAGES, *QUICK, "albert"])
def test_every_tensor_is_in_the_main_stack_before_or_after_it(kind: str, tmp_path: Path) -> None:
    shapes, _ = save(make(kind), tmp_path)
    found = find_layers(shapes)
    if found.main is None:
        assert not found.before and not found.after
        return
    inside = {n for n, place in found.places.items() if place.prefix == found.main.prefix}
    assert sorted([*inside, *found.before, *found.after]) == sorted(shapes)


def test_hostile_names_cost_little() -> None:
    deep = like("0." * 50_000 + "w", "layers." * 50_000 + "0.w")
    wide = like(*(f"m{i}.{k}.a.b" for i in range(10_000) for k in (0, 1)))
    found = find_layers(deep | wide)
    assert len(found.stacks) == 10_001
    assert len(found.modules) == 10_002
    assert len(found.before | found.after) == 20_000
