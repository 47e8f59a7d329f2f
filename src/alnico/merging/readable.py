"""A model in whatever form one has it, as something whose tensors are read part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from alnico.checkpoint.header import ARRAYS, SIZES
from alnico.checkpoint.opened import Checkpoint, open_checkpoint
from alnico.checkpoint.small_floats import FLOATS_OF_A_BYTE, values_of
from alnico.errors import RecipeError
from alnico.merging.record import forms_of
from alnico.merging.steps import Form, Forms
from alnico.tensors.kernels.interpreted import load

if TYPE_CHECKING:
    from torch import Tensor, nn

Model: TypeAlias = "str | Path | Mapping[str, Tensor] | nn.Module"

Read: TypeAlias = Callable[[int, int], np.ndarray]
"""Entries [start, stop) of a tensor in row-major order, as `header.ARRAYS` says they are stored."""


@dataclass(frozen=True)
class Readable:
    """A model that can be read.

    Args:
        label: What messages call it.
        forms: Its tensors.
        find: From the name of a tensor to how its entries are read.
        check_unchanged: Sees that what was read is what is there.
    """

    label: str
    forms: Forms
    find: Callable[[str], Read]
    check_unchanged: Callable[[], None]


@contextmanager
def readable(model: Model, label: str) -> Iterator[Readable]:
    """Make a model readable for this block of code; only models in memory take torch.

    Args:
        model: A path, which may be a name on the hub; a state dict; or a module.
        label: What a model in memory is called.

    Raises:
        DataError: If there is no such model, or it is not whole.
        UnsafeFileError: If reading a file could do harm, or it is not as its format says.
        RecipeError: If it is no model, or holds what is no tensor.
    """
    if isinstance(model, str | Path):
        with open_checkpoint(model) as opened:
            yield _of_files(opened)
    else:
        yield _in_memory(_state_of(model, label), label)


@np.errstate(invalid="ignore")  # of a NaN that signals
def widen(stored: np.ndarray, dtype: str) -> np.ndarray:
    """The numbers that stored floats stand for. [n] -> [n], float64"""
    values = values_of(dtype)[stored] if dtype in FLOATS_OF_A_BYTE else load(stored, dtype)
    return values.astype(np.float64)


def _of_files(model: Checkpoint) -> Readable:
    def find(name: str) -> Read:
        dtype = ARRAYS[model.tensors[name].dtype]

        def read(start: int, stop: int) -> np.ndarray:
            values = np.empty(stop - start, dtype)
            model.read(name, start, stop, values)
            return values

        return read

    return Readable(str(model.path), forms_of(model), find, model.check_unchanged)


def _in_memory(state: Mapping[str, Tensor], label: str) -> Readable:
    from alnico.merging.plan import read_forms

    forms = read_forms(label, state)

    def find(name: str) -> Read:
        values = _stored(state[name], forms[name])
        return lambda start, stop: values[start:stop]

    return Readable(label, forms, find, lambda: None)


def _stored(tensor: Tensor, form: Form) -> np.ndarray:
    """A tensor's values as a file would hold them. [n]"""
    import torch

    bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[SIZES[form.dtype]]
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(bits).numpy().view(ARRAYS[form.dtype])


def _state_of(model: object, label: str) -> Mapping[str, Tensor]:
    from torch import nn

    if isinstance(model, nn.Module):
        return model.state_dict()
    if isinstance(model, Mapping):
        return model
    raise RecipeError(
        f"{label} is no model but of type {type(model).__name__}",
        help="give a path, a state dict or a module",
    )
