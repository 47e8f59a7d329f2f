from __future__ import annotations

import pytest
from zoo import zoo

from alnico.checkpoint.names import num_layers_keys


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("llama", [("num_hidden_layers",)]),
        ("gpt2", [("n_layer",)]),
        ("distilbert", [("n_layers",)]),
        ("t5", [("num_decoder_layers",), ("num_layers",)]),
        ("bart", [("decoder_layers",), ("encoder_layers",)]),
        ("gemma2", [("layer_types",), ("num_hidden_layers",)]),
        ("llama4_text", [("layer_types",), ("no_rope_layers",), ("num_hidden_layers",)]),
        ("clip", [("text_config", "num_hidden_layers"), ("vision_config", "num_hidden_layers")]),
        (
            "qwen2_vl",
            [
                ("text_config", "layer_types"),
                ("text_config", "num_hidden_layers"),
                ("vision_config", "depth"),
            ],
        ),
        ("resnet", []),
    ],
)
def test_keys_of_real_configs(kind: str, expected: list[tuple[str, ...]]) -> None:
    assert sorted(num_layers_keys(zoo(kind)[1].to_diff_dict())) == expected


def test_lists_of_another_length_or_of_layer_numbers_are_no_values_per_layer() -> None:
    config = {
        "num_hidden_layers": 2,
        "architectures": ["A", "B"],
        "layer_types": ["full", "full", "full"],
        "moe_layers": [0, 1],
        "mlp_layer_types": ["dense", "sparse"],
        "layers_with_norm": [True, False],
    }
    expected = [("num_hidden_layers",), ("mlp_layer_types",), ("layers_with_norm",)]
    assert num_layers_keys(config) == expected


def test_only_whole_numbers_count() -> None:
    config = {"num_layers": True, "n_layer": "12", "depth": 1.5, "n_layers": None}
    assert num_layers_keys(config) == []
    assert num_layers_keys(None) == []


def test_deep_configs_are_no_danger() -> None:
    config: dict[str, object] = {"num_layers": 3}
    for _ in range(5_000):
        config = {"inner": config}
    (path,) = num_layers_keys(config)
    assert path == ("inner",) * 5_000 + ("num_layers",)
