"""What a merge does, tensor by tensor: the one form in which every way to ask for a merge ends.

A plan follows from headers alone, and holds no tensor: it can be shown, checked and run again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from alnico.checkpoint.header import FLOATS, SIZES
from alnico.methods import Method
from alnico.methods._method import Value

if TYPE_CHECKING:
    from torch import Tensor

NAMES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
"""The dtypes that safetensors and torch name differently."""

Rule: TypeAlias = Literal["merge", "copy", "equal", "largest"]
"""What becomes of a tensor: merged by a method; copied from one model; copied if all models have
the same bytes, and refused otherwise; or the largest of all models, as BatchNorm's counter is."""


@dataclass(frozen=True)
class Form:
    """What a tensor is, apart from its values.

    Args:
        dtype: The name that safetensors has for it, e.g. `BF16`.
        shape: Its lengths.
    """

    dtype: str
    shape: tuple[int, ...]

    @property
    def has_mean(self) -> bool:
        """Whether it can be merged; integers, booleans and complex numbers are copied."""
        return self.dtype in FLOATS

    @property
    def dtype_name(self) -> str:
        """The dtype as torch calls it: `float32`."""
        return NAMES.get(self.dtype, self.dtype.lower())

    @property
    def n_entries(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)

    @property
    def n_bytes(self) -> int:
        """How much room its values take."""
        return self.n_entries * SIZES[self.dtype]


Forms: TypeAlias = Mapping[str, Form]
"""The tensors of one model."""


@dataclass(frozen=True)
class Input:
    """One tensor of one model.

    Args:
        model: Which of the plan's models, from 0.
        name: What the tensor is called there.
    """

    model: int
    name: str


@dataclass(frozen=True)
class Exact:
    """A method that takes whole tensors in torch and does its arithmetic in their own dtype.

    Args:
        name: What it is called by.
        function: From the models' tensors, the base's or None, and the parameters, all of one
            shape, to the merged tensor.
    """

    name: str
    function: Callable[[Sequence[Tensor], Tensor | None, Mapping[str, Value]], Tensor]


@dataclass(frozen=True)
class Step:
    """One tensor of the output.

    Args:
        name: What it is called there.
        form: Its dtype and shape there.
        rule: What becomes of it.
        inputs: What it is made of, in the order of the method's models.
        base: What the method's deltas are taken from; it is no input unless it is listed, too.
        method: How, if the rule is `merge`.
        parameters: Of the method; one value, or one for each input.
        work_dtype: `Exact` methods: what inputs are converted to first; None keeps theirs.
    """

    name: str
    form: Form
    rule: Rule
    inputs: tuple[Input, ...]
    base: Input | None = None
    method: Method | Exact | None = None
    parameters: Mapping[str, Value] = field(default_factory=dict)
    work_dtype: str | None = None

    @property
    def reads(self) -> tuple[Input, ...]:
        """All tensors that it reads: its inputs, then its base if it has one."""
        return self.inputs if self.base is None else (*self.inputs, self.base)


@dataclass(frozen=True)
class Dropped:
    """A tensor of a model that the output has nothing of, and why."""

    input: Input
    reason: str


@dataclass(frozen=True)
class Plan:
    """A merge in which nothing is left to be checked but the values of tensors.

    Args:
        models: The path of each model, as the user gave it.
        steps: The tensors of the output, in its order.
        dropped: What the output has nothing of.
        seed: Of methods that draw random numbers.
        said: What the user should know, a line each.
        base: Which of the models all came from, if there is one.
    """

    models: tuple[str, ...]
    steps: tuple[Step, ...]
    dropped: tuple[Dropped, ...] = ()
    seed: int = 0
    said: tuple[str, ...] = ()
    base: int | None = None
