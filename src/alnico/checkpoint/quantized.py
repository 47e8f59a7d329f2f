"""Weights stored in a byte each, with scales beside them, given back in full; torch is not needed.

Known are DeepSeek's blocks, compressed-tensors, fbgemm and ModelOpt, ComfyUI's scaled fp8, and
bitsandbytes' int8. Forms with less than a byte for each weight are refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from alnico.checkpoint.header import SIZES, Entry
from alnico.checkpoint.scales import ReadRaw, Scale, fit_scale
from alnico.checkpoint.small_floats import FLOATS_OF_A_BYTE, values_of
from alnico.errors import DataError
from alnico.tensors.kernels.interpreted import store

QUANTIZATION_KEYS = ("quantization_config", "compression_config")

_INPUTS = ("input_scale", "scale_input", "input_scale_ub", "input_zero_point", "weight_format")
"""What lies beside a weight and only serves to run it."""

_MARK = "scaled_fp8"  # ComfyUI's, once for a whole file
_DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
_REFUSED = {
    ".qweight": "GPTQ or AWQ",
    ".quant_map": "bitsandbytes with four bits",
    ".weight_packed": "compressed-tensors, packed",
    ".W_q": "HQQ",
    "._data": "quanto",
}
"""How a tensor's name ends -> whose form it has."""


@dataclass(frozen=True)
class Quantized:
    """A weight that is stored in another form than the one it is used in.

    Args:
        entry: What it is once read; its bytes lie nowhere, and are counted from 0.
        consumed: Stored tensors that serve only to read it, or to run it as it is stored.
        name: What it is called.
        stored: The dtype in which it lies.
        scale: What its entries are multiplied by; None if they are the values themselves.
        zero: What is taken off them before; None if nothing is.
    """

    entry: Entry
    consumed: frozenset[str]
    name: str
    stored: str
    scale: Scale | None = None
    zero: Scale | None = None

    def read(self, read_raw: ReadRaw, start: int, stop: int) -> np.ndarray:
        """Read entries [start, stop), counted in row-major order.

        Args:
            read_raw: Gives stored entries: bytes for floats of one byte, uint16 for bfloat16.
            start: The first entry.
            stop: The entry after the last.

        Returns:
            Their values in the entry's dtype, bfloat16 as uint16; in one dimension.
        """
        raw = np.ascontiguousarray(read_raw(self.name, start, stop)).reshape(-1)
        if self.stored in FLOATS_OF_A_BYTE:
            values = values_of(self.stored)[raw.view(np.uint8)]
        else:
            values = raw.view(np.int8).astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # who writes looks for infinities
            if self.zero is not None:
                for part, zeros in self.zero.parts(values, start, read_raw):
                    part -= zeros
            if self.scale is not None:
                for part, scales in self.scale.parts(values, start, read_raw):
                    part *= scales
            full = store(values, self.entry.dtype)
        return full.view(np.float16) if self.entry.dtype == "F16" else full


def find_quantized(
    entries: Mapping[str, Entry], config: Mapping[str, object] | None
) -> dict[str, Quantized]:
    """Say which tensors are stored in a byte each, and what they are in full.

    Args:
        entries: The stored tensors.
        config: The model's; its dtype is the one that weights are given back in. Without it that
            is the scale's, if it is F16 or BF16, else F32; BF16 where there is no scale, as it
            holds every float of one byte.

    Raises:
        DataError: If one has another form than those known here, or its scales do not fit it.
    """
    _refuse_packed(entries)
    block, dtype = _block_of(config or {}), _dtype_of(config or {})
    leaves = _by_module(entries)
    marks = {name for name in entries if name.rpartition(".")[2] == _MARK}
    serving = set(marks)
    found: dict[str, Quantized] = {}
    for name, entry in entries.items():
        is_small = entry.dtype in FLOATS_OF_A_BYTE or entry.dtype in ("I8", "U8")
        made = _look(name, entries, leaves, block, dtype) if is_small else None
        if made is not None:
            found[name] = replace(made, consumed=made.consumed | marks)
            serving |= made.consumed
    return {name: made for name, made in found.items() if name not in serving}


def strip_quantization(config: Mapping[str, object]) -> dict[str, object]:
    """A config that no longer says that the model, or a part of it, is quantised."""
    return {
        key: strip_quantization(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if key not in QUANTIZATION_KEYS
    }


def _look(
    name: str,
    entries: Mapping[str, Entry],
    leaves: Mapping[str, set[str]],
    block: tuple[int, ...] | None,
    dtype: str | None,
) -> Quantized | None:
    """What a tensor of bytes is by what lies beside it; None if it is what it seems."""
    module, _, leaf = name.rpartition(".")
    entry, prefix = entries[name], name.removesuffix(leaf)
    names = (f"{leaf}_scale_inv", f"{leaf}_scale", f"scale_{leaf}", "SCB")
    beside = {other for other in leaves[module] if _belongs(other, leaf)}
    scales = [other for other in names if other in beside]
    zeros = beside & {f"{leaf}_zero_point"}
    unknown = sorted(beside - {*scales, *zeros, *_INPUTS})
    if unknown or len(scales) > 1 or (zeros and not scales):
        also = (unknown or scales or sorted(zeros))[-1]
        raise _unknown_form(name, f"{prefix}{also} beside it is not known to go with it")
    if not scales and entry.dtype not in FLOATS_OF_A_BYTE:
        return None
    if entry.dtype == "U8":
        raise _unknown_form(name, f"{prefix}{scales[0]} scales less than a byte for each weight")
    consumed = frozenset(prefix + other for other in beside)
    if not scales:
        return Quantized(_in_full(entry, dtype or "BF16"), consumed, name, entry.dtype)
    scale, zero = (
        fit_scale(prefix + other, entries[prefix + other], entry.shape, block) if other else None
        for other in (scales[0], *(zeros or [None]))
    )
    assert scale is not None
    if scales[0] == "SCB":
        scale = replace(scale, factor=1 / 127)
    full = dtype or (scale.dtype if scale.dtype in ("F16", "BF16") else "F32")
    return Quantized(_in_full(entry, full), consumed, name, entry.dtype, scale, zero)


def _belongs(other: str, leaf: str) -> bool:
    """Whether a tensor serves another of the same module, by the names of both."""
    if leaf == "weight":
        return other in (*_INPUTS, "SCB") or "scale" in other or "zero_point" in other
    is_named_so = other.startswith(f"{leaf}_") and ("scale" in other or "zero_point" in other)
    return is_named_so or other == f"scale_{leaf}"


def _by_module(entries: Mapping[str, Entry]) -> dict[str, set[str]]:
    """Module -> the last parts of its tensors' names."""
    found: dict[str, set[str]] = {}
    for name in entries:
        module, _, leaf = name.rpartition(".")
        found.setdefault(module, set()).add(leaf)
    return found


def _refuse_packed(entries: Mapping[str, Entry]) -> None:
    for name, entry in entries.items():
        form = next((form for end, form in _REFUSED.items() if name.endswith(end)), None)
        if name.endswith("_blocks") and f"{name.removesuffix('_blocks')}_scales" in entries:
            form = "MXFP4" if entry.dtype == "U8" else form
        if form is not None:
            raise _unknown_form(name, f"this is the form of {form}")


def _in_full(entry: Entry, dtype: str) -> Entry:
    return Entry(dtype, entry.shape, 0, math.prod(entry.shape) * SIZES[dtype])


def _dtype_of(config: Mapping[str, object]) -> str | None:
    """The dtype that a config names, of the model or of its language part."""
    for part in (config, config.get("text_config")):
        for key in ("dtype", "torch_dtype"):
            named = part.get(key) if isinstance(part, Mapping) else None
            if isinstance(named, str) and named in _DTYPES:
                return _DTYPES[named]
    return None


def _block_of(config: Mapping[str, object]) -> tuple[int, ...] | None:
    """The size of blocks that a config names; None if it names none, or several."""
    found = [config.get(key) for key in QUANTIZATION_KEYS]
    parts = [part for part in found if isinstance(part, Mapping)]
    sizes = {_lengths(part.get("weight_block_size")) for part in parts}
    for part in parts:
        groups = part.get("config_groups")
        for group in groups.values() if isinstance(groups, Mapping) else ():
            weights = group.get("weights") if isinstance(group, Mapping) else None
            if isinstance(weights, Mapping):
                size = weights.get("group_size")
                sizes.add(_lengths(weights.get("block_structure") or (size and [1, size])))
    sizes.discard(None)
    return sizes.pop() if len(sizes) == 1 else None


def _lengths(value: object) -> tuple[int, ...] | None:
    if isinstance(value, list) and value and all(type(n) is int and n > 0 for n in value):
        return tuple(value)
    return None


def _unknown_form(name: str, why: str) -> DataError:
    return DataError(
        f"{name} is quantised in a form that cannot be read: {why}",
        help="get the model in full, or load it in transformers, call model.dequantize() and save",
    )
