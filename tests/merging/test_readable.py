from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from alnico.checkpoint.reader import DTYPES
from alnico.errors import DataError, RecipeError
from alnico.merging.readable import readable, widen

FLOATS = {name: dtype for name, dtype in DTYPES.items() if dtype.is_floating_point}


def every_dtype() -> dict[str, torch.Tensor]:
    values = torch.tensor([[0.0, 1.0, 2.0], [4.0, 0.5, 8.0]])
    return {name: values.to(dtype) for name, dtype in DTYPES.items() if dtype.itemsize > 1}


def test_a_file_a_state_dict_and_a_module_give_the_same_bytes(save: Callable[..., Path]) -> None:
    net = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8))
    state = net.state_dict()
    found = []
    for model in (save("net", state), str(save("other", state)), state, net):
        with readable(model, "net") as model_read:
            forms = model_read.forms
            reads = {name: model_read.find(name)(0, forms[name].n_entries) for name in state}
            found.append(
                (sorted(forms.items()), {n: (r.dtype, r.tolist()) for n, r in reads.items()})
            )
    assert all(each == found[0] for each in found)
    assert found[0][1]["1.num_batches_tracked"] == (np.dtype(np.int64), [0])
    assert found[0][1]["0.bias"][1] == state["0.bias"].tolist()


def test_parts_of_every_dtype_are_the_bytes_of_the_tensor(save: Callable[..., Path]) -> None:
    state = every_dtype()
    for model in (save("all", state), state):
        with readable(model, "all") as opened:
            for name, tensor in state.items():
                bits = tensor.reshape(-1)[1:5].view(torch.uint8)
                assert opened.find(name)(1, 5).tobytes() == bytes(bits.tolist())


def test_a_view_is_read_in_the_order_of_its_own_entries() -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    with readable({"x": whole.T, "scalar": torch.tensor(3.0)}, "a") as opened:
        assert opened.find("x")(0, 5).tolist() == [0.0, 4.0, 8.0, 1.0, 5.0]
        assert opened.find("scalar")(0, 1).tolist() == [3.0]


@pytest.mark.parametrize("name", FLOATS)
def test_widening_is_torchs_own_conversion(name: str) -> None:
    draw = np.random.default_rng(0)
    bits = draw.integers(0, 256, 256 * FLOATS[name].itemsize, dtype=np.uint8)
    stored = torch.from_numpy(bits).view(FLOATS[name])
    size = {1: np.uint8, 2: np.uint16, 4: np.float32, 8: np.float64}[FLOATS[name].itemsize]
    np.testing.assert_array_equal(widen(bits.view(size), name), stored.double().numpy())


def test_what_is_no_model_is_said() -> None:
    with (
        pytest.raises(RecipeError, match="b is no model but of type list"),
        readable([1, 2], "b"),  # type: ignore[arg-type]
    ):
        pass
    with (
        pytest.raises(RecipeError, match="b holds 'x', which is no tensor"),
        readable(
            {"x": 1.0},  # type: ignore[dict-item]
            "b",
        ),
    ):
        pass
    with pytest.raises(DataError, match="missing"), readable("missing.safetensors", "b"):
        pass


def test_a_file_that_changes_meanwhile_is_noticed(save: Callable[..., Path]) -> None:
    path = save("net")
    with readable(path, "net") as opened:
        opened.check_unchanged()
        path.write_bytes(path.read_bytes() + b"x")
        with pytest.raises(DataError, match="net"):
            opened.check_unchanged()


def test_a_file_is_closed_at_the_end(save: Callable[..., Path]) -> None:
    with readable(save("net"), "net") as opened:
        read = opened.find("0.bias")
        assert len(read(0, 8)) == 8
    with pytest.raises((DataError, ValueError, OSError)):
        read(0, 8)
