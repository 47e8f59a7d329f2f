"""Tensors as PyTorch's files describe them: views of storages, checked and never filled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from alnico.checkpoint.header import MAX_AXES, SIZES

DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2": "F8_E5M2",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
    "complex64": "C64",
}
"""torch's name of each dtype -> safetensors'."""

_STORAGES = {
    "Double": "F64",
    "Float": "F32",
    "Half": "F16",
    "BFloat16": "BF16",
    "Long": "I64",
    "Int": "I32",
    "Short": "I16",
    "Char": "I8",
    "Byte": "U8",
    "Bool": "BOOL",
    "ComplexFloat": "C64",
}
DTYPE_OF = {f"torch.{name}": dtype for name, dtype in DTYPES.items()}
DTYPE_OF |= {f"torch.{name}Storage": dtype for name, dtype in _STORAGES.items()}
DTYPE_OF |= {"torch.storage.UntypedStorage": "U8"}
"""The names by which a pickle calls a dtype or a kind of storage -> safetensors' name of it."""


class UnsoundError(ValueError):
    """A pickle that lies, is damaged, or would do what no weights need."""


@dataclass(frozen=True)
class Storage:
    """A run of values of the file, which tensors are views of.

    Args:
        key: What it is called.
        dtype: The name that safetensors has for its values' dtype.
        n_values: How many they are.
    """

    key: str
    dtype: str
    n_values: int

    @property
    def n_bytes(self) -> int:
        """How much room they take."""
        return self.n_values * SIZES[self.dtype]


@dataclass(frozen=True)
class View:
    """A tensor.

    Args:
        storage: Where its values are.
        dtype: The name that safetensors has for their dtype.
        shape: Its lengths.
    """

    storage: Storage
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Named:
    """A thing of Python's, by its name alone."""

    name: str


def _tensor(
    storage: object,
    offset: object,
    shape: object,
    strides: object,
    requires_grad: object = False,
    hooks: object = None,
    metadata: object = None,
) -> View:
    if not isinstance(storage, Storage):
        raise UnsoundError("has no storage")
    return _view(storage, storage.dtype, offset, shape, strides, metadata)


def _tensor_of_dtype(
    storage: object,
    offset: object,
    shape: object,
    strides: object,
    requires_grad: object,
    hooks: object,
    dtype: object,
    metadata: object = None,
) -> View:
    if not isinstance(storage, Storage) or not isinstance(dtype, Named):
        raise UnsoundError("has no storage or no dtype")
    if dtype.name not in DTYPE_OF:
        raise UnsoundError(f"has the dtype {dtype.name}")
    return _view(storage, DTYPE_OF[dtype.name], offset, shape, strides, metadata)


def _view(
    storage: Storage, dtype: str, offset: object, shape: object, strides: object, metadata: object
) -> View:
    """A view that stays in its storage: torch would enlarge the storage by what is in memory."""
    if metadata:
        raise UnsoundError("is a conjugate or a negative view, which weights are not")
    if not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise UnsoundError("has a shape or strides that are none")
    counts = (offset, *shape, *strides)
    if not all(map(is_count, counts)) or len(shape) != len(strides) or len(shape) > MAX_AXES:
        raise UnsoundError(f"has the shape {shape} and the strides {strides} from {offset} on")
    assert isinstance(offset, int)
    reach = sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    end = offset if 0 in shape else offset + reach + 1
    if end * SIZES[dtype] > storage.n_bytes:
        raise UnsoundError(f"leaves its storage of {storage.n_bytes} bytes: it needs {end} values")
    return View(storage, dtype, shape)


def _parameter(view: object, requires_grad: object, hooks: object) -> View:
    if not isinstance(view, View):
        raise UnsoundError("is a parameter without values")
    return view


def _size(lengths: object = ()) -> tuple[object, ...]:
    if not isinstance(lengths, tuple):
        raise UnsoundError("has a size that is none")
    return lengths


def is_count(value: object) -> bool:
    """Whether a value can be a length, an offset or a stride."""
    return type(value) is int and 0 <= value < 2**63


BUILDERS: dict[str, Callable[..., object]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_dtype,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": _size,
}
"""What a pickle of weights calls -> what that gives."""
