"""Pickles as torch writes them, and as others would, beside what torch makes of the sound ones."""

from __future__ import annotations

import io
import pickle
import random
import time
import zipfile
from collections import Counter, OrderedDict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from alnico.checkpoint.inert import ForbiddenError, Idle, UnsupportedError, read_bytes
from alnico.checkpoint.views import DTYPES, Storage, UnsoundError, View

HEAD = b"\x80\x02"


def pickled(value: object) -> bytes:
    """The pickle inside of what torch saves."""
    made = io.BytesIO()
    torch.save(value, made)
    with zipfile.ZipFile(made) as archive:
        return archive.read("archive/data.pkl")


def look(data: bytes) -> object:
    return read_bytes(data, {})


def test_a_state_dict_is_described_as_torch_loads_it() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 2), torch.nn.BatchNorm2d(3)).half()
    state: dict[str, Tensor] = {**net.state_dict(), "p": torch.nn.Parameter(torch.ones(2, 2).t())}
    state |= {"e": torch.empty(0, 3), "b": torch.tensor(True), "f8": torch.ones(3).char().float()}
    storages: dict[str, Storage] = {}
    found = read_bytes(pickled(state), storages)
    assert isinstance(found, dict) and list(found) == list(state)
    for name, tensor in state.items():
        view = found[name]
        assert isinstance(view, View) and view.shape == tuple(tensor.shape)
        assert view.dtype == DTYPES[str(tensor.dtype).removeprefix("torch.")]
        assert view.storage.n_bytes == tensor.untyped_storage().nbytes()
    assert len(storages) == len(state)


@pytest.mark.parametrize("dtype", list(DTYPES))
def test_every_dtype_that_safetensors_has_is_read(dtype: str) -> None:
    found = look(pickled({"x": torch.zeros(3).to(getattr(torch, dtype))}))
    assert isinstance(found, dict) and found["x"].dtype == DTYPES[dtype]


def test_tensors_that_share_values_share_a_storage() -> None:
    whole = torch.ones(4, 4)
    found = look(pickled([whole, whole[1:3, ::2]]))
    assert isinstance(found, list) and found[0].storage == found[1].storage
    assert found[1].shape == (2, 2)


def test_what_stands_beside_weights_is_kept_apart() -> None:
    plain = {"n": 3, "f": 0.5, "s": "words", "l": [1, (2, None)], "t": True, "big": 2**40, "d": {}}
    assert look(pickled(plain)) == plain
    odd = [Counter(a=1), {1, 2}, b"bytes", torch.device("cpu"), torch.float32, 1j]
    found = look(pickled(odd))
    assert isinstance(found, list) and not any(isinstance(part, View) for part in found)
    assert isinstance(found[0], Idle) and look(pickled(torch.Size([2, 3]))) == (2, 3)
    assert look(pickled(OrderedDict(a=1, b=OrderedDict()))) == {"a": 1, "b": {}}


def test_an_optimizers_state_is_followed() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight])
    weight.sum().backward()
    optimizer.step()
    found = look(pickled({"optimizer": optimizer.state_dict()}))
    assert isinstance(found, dict)
    assert found["optimizer"]["state"][0]["exp_avg"].shape == (2,)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        (b"cos\nsystem\n", "import os.system at byte 2"),
        (b"cnumpy.core.multiarray\nscalar\n", "import numpy.core.multiarray.scalar"),
        (b"ctorch.nn.modules.linear\nLinear\n", "import torch.nn.modules.linear.Linear"),
        (b"ctorch\nload\n", "import torch.load"),
        (b"cbuiltins\ngetattr\n", "import builtins.getattr"),
        (b"ctorch\nfloat32\n)R", r"call torch\.float32 at byte 18"),
    ],
)
def test_a_name_that_no_weights_need_is_refused_with_its_place(name: bytes, how: str) -> None:
    with pytest.raises(ForbiddenError, match=how):
        look(HEAD + name + b".")


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (torch.eye(2).to_sparse(), "a sparse tensor"),
        (torch.empty(2, device="meta"), "a meta tensor"),
        (torch.zeros(2, dtype=torch.complex128), "complex128"),
    ],
)
def test_tensors_without_plain_values_are_named(value: Tensor, what: str) -> None:
    with pytest.raises(UnsupportedError, match=f"tensor 'the.name', made at byte .* {what}"):
        look(pickled({"first": torch.ones(1), "the.name": value}))


def test_a_quantised_tensor_is_named() -> None:
    with pytest.raises(UnsupportedError, match=r"tensor 'q', made at byte .* a quantised tensor"):
        look(HEAD + b"}X\x01\0\0\0qctorch._utils\n_rebuild_qtensor\n)Rs.")


@pytest.mark.parametrize("protocol", [0, 3, 4, 5])
def test_steps_that_torch_itself_does_not_follow_are_refused(protocol: int) -> None:
    with pytest.raises(UnsoundError, match="its pickle has the step"):
        look(pickle.dumps({"a": b"bytes", "b": [1.5, "x" * 300]}, protocol))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "cannot be followed"),
        (HEAD + b"}", "cannot be followed"),
        (HEAD + b"h\x05.", "cannot be followed"),
        (HEAD + b"0.", "has the step POP"),
        (HEAD + b"}}.", "a stack that is not empty"),
        (HEAD + b"}.x", "something comes behind"),
        (HEAD + b"}K\x01a.", "appends to what is no list"),
        (HEAD + b"]K\x01K\x01s.", "fills what is no mapping"),
        (HEAD + b"}(X\x01\0\0\0aK\x01X\x01\0\0\0aK\x02u.", "'a' twice"),
        (HEAD + b"}X\x01\0\0\0aK\x01X\x01\0\0\0as.", "cannot be followed|no mapping"),
        (HEAD + b"}(X\x01\0\0\0au.", "cannot be followed"),
        (HEAD + b"}\x8a\x09" + b"\xff" * 8 + b"\0K\x01s.", "neither names nor numbers"),
        (HEAD + b"}]K\x01s.", "neither names nor numbers"),
        (HEAD + b"K\x01)R.", "calls what is no function"),
        (HEAD + b"]}b.", "sets the state"),
        (HEAD + b"K\x01Q.", "has a storage that is none"),
        (HEAD + b"ccollections\nOrderedDict\nK\x01\x85R.", "a mapping that is none"),
        (HEAD + b"ctorch._utils\n_rebuild_tensor_v2\n)R.", "cannot be followed"),
    ],
)
def test_a_pickle_that_makes_no_sense_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(UnsoundError, match=why):
        look(data)


def test_one_storage_cannot_have_two_sizes() -> None:
    data = pickled([torch.ones(3), torch.ones(3)])
    second, other = b"X\x01\0\0\x001q\rh\x05K\x03t", b"X\x01\0\0\x000q\rh\x05K\x04t"
    assert data.count(second) == 1
    with pytest.raises(UnsoundError, match="differs from itself"):
        look(data.replace(second, other))


def test_names_of_a_mapping_may_come_in_pairs() -> None:
    pairs = HEAD + b"ccollections\nOrderedDict\n]](X\x01\0\0\0aK\x01ea\x85R."
    assert look(pairs) == {"a": 1}


@given(data=st.binary(max_size=200).map(lambda data: HEAD + data))
def test_any_bytes_are_followed_without_a_crash(data: bytes) -> None:
    try:
        look(data)
    except (UnsoundError, UnsupportedError) as error:
        assert str(error)


def test_random_changes_are_refused_or_give_what_torch_could_save() -> None:
    draw, data = random.Random(0), pickled({"a": torch.ones(3), "b": [1, "x"], "c": {2}})
    for _ in range(500):
        changed = bytearray(data)
        changed[draw.randrange(len(data))] = draw.randrange(256)
        try:
            look(bytes(changed))
        except (UnsoundError, UnsupportedError) as error:
            assert len(str(error)) < 500


def test_bombs_end_early() -> None:
    fill = b"".join(b"\x8a\x08" + (i * (2**61 - 1)).to_bytes(8, "little") + b"N" for i in range(4))
    bombs = [
        HEAD + b"N" * 10**7,
        HEAD + b"(" * 10**6,
        HEAD + b"]q\0" + b"h\0\x85" * 300_000 + b".",
        HEAD + b"}(" + fill * 10**5 + b"u.",
    ]
    began = time.process_time()
    for bomb in bombs:
        with pytest.raises(UnsoundError):
            look(bomb)
    assert time.process_time() - began < 10
