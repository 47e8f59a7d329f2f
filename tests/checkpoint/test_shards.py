from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from huggingface_hub import split_torch_state_dict_into_shards
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import deserialize

from alnico.checkpoint.header import MAX_HEADER, SIZES
from alnico.checkpoint.shards import Out, header_bytes, in_shards, index_bytes, one_file
from alnico.errors import RecipeError

SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)
OUTS = st.dictionaries(
    st.text(min_size=1, max_size=5).filter(lambda name: name != "__metadata__"),
    st.tuples(st.sampled_from(sorted(SIZES)), SHAPES),
    max_size=8,
).map(lambda forms: [Out(name, *form) for name, form in forms.items()])


@settings(max_examples=50, deadline=None)
@given(outs=OUTS)
def test_the_safetensors_library_reads_the_layout_and_each_tensor_can_be_mapped(
    outs: list[Out],
) -> None:
    file = one_file("x.safetensors", outs, {"format": "pt"})
    found = dict(deserialize(file.header + bytes(file.n_bytes - len(file.header))))
    assert {n: tuple(t["shape"]) for n, t in found.items()} == {o.name: o.shape for o in outs}
    assert {n: t["dtype"] for n, t in found.items()} == {o.name: o.dtype for o in outs}
    assert all(file.starts[out.name] % SIZES[out.dtype] == 0 for out in outs)


def test_in_a_file_wide_dtypes_come_first_and_the_order_is_kept_among_equals() -> None:
    outs = [
        Out("z", "F16", (1,)),
        Out("b", "F32", (1,)),
        Out("m", "BOOL", ()),
        Out("a", "BF16", ()),
    ]
    assert [out.name for out in one_file("x", outs, {}).tensors] == ["b", "z", "a", "m"]


@settings(max_examples=30, deadline=None)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=12), most=st.integers(48, 200))
def test_shards_are_those_of_huggingface_hub(lengths: list[int], most: int) -> None:
    outs = [Out(f"t{i}", "F32", (n,)) for i, n in enumerate(lengths)]
    files = in_shards(outs, {}, most)
    theirs = split_torch_state_dict_into_shards(
        {f"t{i}": torch.zeros(n) for i, n in enumerate(lengths)}, max_shard_size=most
    )
    assert {file.name: [o.name for o in file.tensors] for file in files} == (
        theirs.filename_to_tensors
    )


def test_a_tensor_larger_than_a_shard_has_one_of_its_own() -> None:
    outs = [Out(name, "U8", (n,)) for name, n in [("a", 2), ("b", 9), ("c", 2), ("d", 2)]]
    files = in_shards(outs, {}, 4)
    assert [[out.name for out in file.tensors] for file in files] == [["a"], ["b"], ["c", "d"]]
    assert files[2].name == "model-00003-of-00003.safetensors"


def test_the_index_counts_and_sorts() -> None:
    outs = [Out("b", "F32", (2, 3)), Out("a", "BF16", (5,))]
    text = index_bytes(in_shards(outs, {}, 24))
    assert json.loads(text) == {
        "metadata": {"total_parameters": 11, "total_size": 34},
        "weight_map": {
            "a": "model-00002-of-00002.safetensors",
            "b": "model-00001-of-00002.safetensors",
        },
    }
    assert text.index(b'"a"') < text.index(b'"b"')


def test_a_model_without_tensors_is_one_file() -> None:
    (file,) = in_shards([], {})
    assert (file.name, file.n_bytes) == ("model.safetensors", 16)


@pytest.mark.parametrize(
    ("outs", "message"),
    [
        ([Out("__metadata__", "F32", ())], "a tensor cannot be named __metadata__"),
        ([Out("a", "F32", ()), Out("a", "F16", ())], "two tensors are named 'a'"),
        ([Out("a", "BF61", ())], r"no dtype 'BF61'\n  help: did you mean 'BF16'"),
        ([Out("a\ud800", "F32", ())], "a name cannot be written as UTF-8"),
    ],
)
def test_what_has_no_place_in_the_format_is_refused(outs: list[Out], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        one_file("x", outs, {})
    with pytest.raises(RecipeError, match=message):
        in_shards(outs, {}, 1)


def test_a_header_that_no_reader_would_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alnico.checkpoint.shards.MAX_HEADER", 64)
    assert MAX_HEADER > 64
    with pytest.raises(
        RecipeError, match=r"need a header of \d+ bytes.*64\n  help: .*--shard-size"
    ):
        header_bytes([Out("a" * 70, "F32", ())], {})


def test_a_shard_must_hold_something() -> None:
    with pytest.raises(RecipeError, match="a shard cannot have 0 bytes"):
        in_shards([Out("a", "F32", ())], {}, 0)


def test_writing_needs_no_torch() -> None:
    code = "import sys, alnico.checkpoint.output, alnico.checkpoint.side_files\n"
    code += "import alnico.checkpoint.card, alnico.checkpoint.model_config\n"
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
