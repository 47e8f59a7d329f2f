from __future__ import annotations

import pytest
import torch

from alnico.checkpoint.views import BUILDERS, DTYPE_OF, DTYPES, Named, Storage, UnsoundError, View

FLOATS = Storage("0", "F32", 12)
build = BUILDERS["torch._utils._rebuild_tensor_v2"]


def test_every_dtype_has_the_name_and_the_size_of_torchs() -> None:
    for name, dtype in DTYPES.items():
        assert Storage("0", dtype, 3).n_bytes == 3 * getattr(torch, name).itemsize
        kind = torch.empty(0, dtype=getattr(torch, name)).untyped_storage()
        assert kind.nbytes() == 0 and DTYPE_OF[f"torch.{name}"] == dtype


def test_every_kind_of_storage_has_the_dtype_of_torchs() -> None:
    kinds = {name: dtype for name, dtype in DTYPE_OF.items() if name.endswith("Storage")}
    assert kinds.pop("torch.storage.UntypedStorage") == "U8"
    for name, dtype in kinds.items():
        expected = torch.serialization.StorageType(name.removeprefix("torch.")).dtype
        assert DTYPES[str(expected).removeprefix("torch.")] == dtype


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (3, 4), (4, 1)),
        (0, (4, 3), (1, 4)),
        (11, (), ()),
        (2, (2, 2), (5, 4)),
        (0, (9, 9), (0, 0)),
        (12, (0, 5), (5, 1)),
    ],
)
def test_a_view_that_torch_accepts_as_it_is_stays_in_its_storage(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    torch.arange(12.0).as_strided(shape, strides, offset)
    assert build(FLOATS, offset, shape, strides, False, {}) == View(FLOATS, "F32", shape)


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (3, 5), (5, 1)),
        (1, (3, 4), (4, 1)),
        (12, (), ()),
        (13, (0,), (1,)),
        (0, (2,), (12,)),
        (0, (2**62, 2**62), (2**62, 1)),
    ],
)
def test_a_view_that_leaves_its_storage_is_refused(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    with pytest.raises(UnsoundError, match="leaves its storage of 48 bytes"):
        build(FLOATS, offset, shape, strides)


@pytest.mark.parametrize(
    "arguments",
    [
        (FLOATS, -1, (2,), (1,)),
        (FLOATS, 0, (-2,), (1,)),
        (FLOATS, 8, (2,), (-1,)),
        (FLOATS, 0, (2, 2), (1,)),
        (FLOATS, 0.0, (2,), (1,)),
        (FLOATS, True, (2,), (1,)),
        (FLOATS, 0, [2], (1,)),
        (FLOATS, 0, (2**63,), (0,)),
        (FLOATS, 0, (1,) * 65, (1,) * 65),
        (None, 0, (2,), (1,)),
        (FLOATS, 0, (2,), (1,), False, None, {"conj": True}),
    ],
)
def test_what_is_no_view_is_refused(arguments: tuple[object, ...]) -> None:
    with pytest.raises(UnsoundError):
        build(*arguments)


def test_a_dtype_of_its_own_counts_in_the_bytes_of_its_storage() -> None:
    build = BUILDERS["torch._utils._rebuild_tensor_v3"]
    storage = Storage("0", "U8", 4)
    made = build(storage, 0, (2,), (1,), False, None, Named("torch.uint16"))
    assert made == View(storage, "U16", (2,))
    with pytest.raises(UnsoundError, match="leaves its storage"):
        build(storage, 0, (3,), (1,), False, None, Named("torch.uint16"))
    with pytest.raises(UnsoundError, match=r"has the dtype torch\.device"):
        build(storage, 0, (3,), (1,), False, None, Named("torch.device"))


def test_a_parameter_is_its_tensor_and_a_size_its_lengths() -> None:
    view = View(FLOATS, "F32", (2,))
    assert BUILDERS["torch._utils._rebuild_parameter"](view, True, {}) is view
    assert BUILDERS["torch.Size"]((2, 3)) == (2, 3)
    for name in ("torch._utils._rebuild_parameter", "torch.Size"):
        with pytest.raises(UnsoundError):
            BUILDERS[name](*([7, True, {}] if "parameter" in name else [7]))
