"""Quantised state dicts as others write them, against torch's own arithmetic on whole tensors."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from alnico.checkpoint.header import Entry
from alnico.checkpoint.quantized import find_quantized, strip_quantization
from alnico.checkpoint.reader import DTYPES
from alnico.checkpoint.writer import NAMES
from alnico.errors import DataError

E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2
BF16 = {"torch_dtype": "bfloat16"}


def entries_of(state: Mapping[str, Tensor]) -> dict[str, Entry]:
    return {k: Entry(NAMES[t.dtype], tuple(t.shape), 0, t.nbytes) for k, t in state.items()}


def raw(tensor: Tensor) -> np.ndarray:
    """A tensor as a checkpoint stores it: what numpy has no dtype for as integers."""
    width = {1: torch.uint8, 2: torch.uint16}.get(tensor.element_size())
    flat = tensor.contiguous().reshape(-1)
    return flat.view(width).numpy() if width and tensor.dtype != torch.int8 else flat.numpy()


def in_full(
    state: Mapping[str, Tensor], config: Mapping[str, object] | None = None, step: int = 5
) -> dict[str, Tensor]:
    """All quantised tensors of a state, read in blocks that end anywhere."""
    full = {}
    for name, found in find_quantized(entries_of(state), config).items():
        ends = [*range(0, state[name].numel(), step), state[name].numel()]
        parts = [
            found.read(lambda n, a, b: raw(state[n])[a:b], start, stop)
            for start, stop in itertools.pairwise(ends)
        ]
        dtype = DTYPES[found.entry.dtype]
        full[name] = torch.from_numpy(np.concatenate(parts)).view(dtype).view(found.entry.shape)
    return full


def same(found: Tensor, expected: Tensor) -> None:
    assert found.dtype == expected.dtype
    assert torch.equal(found.float().nan_to_num(7e7), expected.float().nan_to_num(7e7))


def test_blocks_of_deepseek_with_edges() -> None:
    weight, scale = torch.randn(200, 300).to(E4M3), torch.rand(2, 3) + 0.5
    config = {**BF16, "quantization_config": {"weight_block_size": [128, 128]}}
    expected = torch.empty(200, 300)
    for i, j in itertools.product(range(200), range(300)):
        expected[i, j] = weight[i, j].float() * scale[i // 128, j // 128]
    state = {"a.weight": weight, "a.weight_scale_inv": scale, "a.bias": torch.ones(3)}
    (found,) = in_full(state, config, step=777).values()
    same(found, expected.bfloat16())
    assert find_quantized(entries_of(state), config)["a.weight"].consumed == {"a.weight_scale_inv"}


@pytest.mark.parametrize("shape", [(), (1,), (6,), (6, 1)])
@pytest.mark.parametrize("stored", [E4M3, E5M2])
def test_one_scale_or_one_for_each_channel(shape: tuple[int, ...], stored: torch.dtype) -> None:
    weight, scale = torch.randn(6, 7).to(stored), torch.rand(shape) + 0.5
    state = {"a.weight": weight, "a.weight_scale": scale, "a.input_scale": torch.ones(1)}
    (found,) = in_full(state, BF16).values()
    column = scale if len(shape) != 1 or shape == (1,) else scale[:, None]
    same(found, (weight.float() * column).bfloat16())
    consumed = find_quantized(entries_of(state), BF16)["a.weight"].consumed
    assert consumed == {"a.weight_scale", "a.input_scale"}


def test_comfyui_marks_its_file_and_names_scales_the_other_way() -> None:
    weight, scale = torch.randn(3, 4).to(E4M3), torch.tensor(0.3)
    state = {
        "m.a.weight": weight,
        "m.a.scale_weight": scale,
        "m.a.scale_input": torch.ones(1),
        "m.scaled_fp8": torch.zeros(2).to(E4M3),
    }
    found = find_quantized(entries_of(state), None)
    assert list(found) == ["m.a.weight"]
    assert found["m.a.weight"].consumed == set(state) - {"m.a.weight"}
    same(in_full(state)["m.a.weight"], weight.float() * scale)


def test_rows_of_bitsandbytes() -> None:
    full = torch.randn(5, 9)
    rows = full.abs().amax(1)
    codes = (full * 127 / rows[:, None]).round().to(torch.int8)
    state = {"a.weight": codes, "a.SCB": rows, "a.weight_format": torch.tensor(0).byte()}
    (found,) = in_full(state).values()
    torch.testing.assert_close(found, codes.float() * rows[:, None] / 127)
    assert (found - full).abs().max() <= rows.max() / 127


def test_integers_with_groups_and_zero_points() -> None:
    codes = torch.randint(-128, 128, (4, 12), dtype=torch.int8)
    scale, zero = torch.rand(4, 3), torch.randint(-9, 9, (4, 3), dtype=torch.int8)
    wide = [x.float().repeat_interleave(4, dim=1) for x in (scale, zero)]
    state = {"a.weight": codes, "a.weight_scale": scale, "a.weight_zero_point": zero}
    groups = {"config_groups": {"g": {"weights": {"group_size": 4}}}}
    for config in ({}, {"quantization_config": groups}):
        (found,) = in_full(state, config).values()
        same(found, (codes.float() - wide[1]) * wide[0])


def test_experts_in_one_tensor_with_a_name_of_their_own() -> None:
    weight, scale = torch.randn(2, 3, 4).to(E4M3), torch.rand(2, 3, 1)
    state = {"e.gate_up_proj": weight, "e.gate_up_proj_scale": scale, "e.down_proj": scale}
    (found,) = in_full(state).values()
    same(found, weight.float() * scale)


def test_floats_of_a_byte_without_a_scale_are_their_own_values() -> None:
    codes = torch.arange(256).to(torch.uint8)
    state = {"a": codes.view(E4M3), "b.weight": codes.view(E5M2), "c": codes}
    found = in_full(state)
    assert set(found) == {"a", "b.weight"}
    for name in found:
        same(found[name], state[name].bfloat16())


@pytest.mark.parametrize(
    ("config", "scale", "expected"),
    [
        ({"dtype": "float16"}, torch.float32, torch.float16),
        ({"torch_dtype": "float32"}, torch.float16, torch.float32),
        ({"text_config": {"dtype": "bfloat16"}}, torch.float32, torch.bfloat16),
        ({"dtype": "float8_e4m3fn"}, torch.bfloat16, torch.bfloat16),
        (None, torch.float16, torch.float16),
        (None, torch.float32, torch.float32),
        ({"dtype": 3, "text_config": [], "quantization_config": 7}, torch.float32, torch.float32),
    ],
)
def test_the_dtype_in_full_is_the_configs_or_the_scales(
    config: dict[str, object] | None, scale: torch.dtype, expected: torch.dtype
) -> None:
    state = {"a.weight": torch.randn(40).to(E4M3), "a.weight_scale": torch.tensor([0.37]).to(scale)}
    (found,) = in_full(state, config).values()
    same(found, (state["a.weight"].float() * state["a.weight_scale"].float()).to(expected))


def test_what_overflows_becomes_infinite_without_a_word() -> None:
    state = {"a.weight": torch.full((2,), 57344.0).to(E5M2), "a.weight_scale": torch.tensor(8.0)}
    assert in_full(state, {"dtype": "float16"})["a.weight"].isinf().all()


def test_an_empty_weight_and_plain_tensors() -> None:
    state = {"a.weight": torch.empty(0, 4).to(E4M3), "a.weight_scale": torch.tensor(2.0)}
    found = find_quantized(entries_of(state), None)["a.weight"]
    assert found.entry.shape == (0, 4)
    assert found.read(lambda n, a, b: raw(state[n])[a:b], 0, 0).size == 0
    plain = {"a.weight": torch.ones(2, dtype=torch.int8), "b.weight_scale": torch.ones(1)}
    assert find_quantized(entries_of(plain), None) == {}


PACKED = {
    "a.qweight": "GPTQ or AWQ",
    "a.weight.quant_map": "bitsandbytes with four bits",
    "a.weight_packed": "compressed-tensors, packed",
    "a.W_q": "HQQ",
    "a.weight._data": "quanto",
}


@pytest.mark.parametrize("name", PACKED)
def test_forms_of_less_than_a_byte_are_refused_with_their_name(name: str) -> None:
    state = {name: torch.ones(2, dtype=torch.int32)}
    with pytest.raises(DataError, match=f"{name} is quantised .* the form of {PACKED[name]}") as c:
        find_quantized(entries_of(state), None)
    assert "get the model in full" in str(c.value.help)


def test_packed_bytes_beside_scales_are_refused() -> None:
    packed = torch.ones(2, 2, dtype=torch.uint8)
    for state, why in (
        ({"a.w_blocks": packed, "a.w_scales": packed}, "the form of MXFP4"),
        ({"a.weight": packed, "a.weight_scale": torch.ones(2)}, "less than a byte"),
    ):
        with pytest.raises(DataError, match=why):
            find_quantized(entries_of(state), None)


@pytest.mark.parametrize(
    ("more", "which"),
    [
        ({"a.weight_scale_2": torch.ones(1)}, "a.weight_scale_2"),
        ({"a.weight_scale_inv": torch.ones(1), "a.weight_scale": torch.ones(1)}, "a.weight_scale"),
        ({"a.weight_zero_point": torch.ones(1)}, "a.weight_zero_point"),
    ],
)
def test_scales_of_an_unknown_kind_are_never_left_out(more: dict[str, Tensor], which: str) -> None:
    state = {"a.weight": torch.ones(2, 2).to(E4M3), **more}
    with pytest.raises(DataError, match=f"{which} beside it is not known"):
        find_quantized(entries_of(state), None)


def test_a_config_without_its_quantisation() -> None:
    config = {
        "dtype": "bfloat16",
        "quantization_config": {"quant_method": "fp8"},
        "text_config": {"compression_config": {}, "layers": 3},
    }
    assert strip_quantization(config) == {"dtype": "bfloat16", "text_config": {"layers": 3}}
    assert "quantization_config" in config
