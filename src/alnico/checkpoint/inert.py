"""What a pickle of PyTorch's describes: tensors as places in a file, and nothing comes to life.

It follows the opcodes that torch's own weights-only loader follows, and refuses all others.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO

from alnico.checkpoint.archives import MAX_STEPS
from alnico.checkpoint.views import BUILDERS, DTYPE_OF, Named, Storage, UnsoundError, is_count

_BUILTINS = ("builtins", "__builtin__")  # the latter as Python 2 has it, and protocol 2 writes it
_IDLE = {
    "torch.device",
    "torch.serialization._get_layout",
    "torch.complex128",
    "collections.Counter",
    "_codecs.encode",
    *(f"{module}.{name}" for module in _BUILTINS for name in ("bytearray", "set", "complex")),
}
"""What stands beside weights, in an optimizer's state say, and is not looked into."""

_UNSUPPORTED = {
    "torch._utils._rebuild_qtensor": "a quantised tensor",
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
    "torch._utils._rebuild_nested_tensor": "a nested tensor",
    "torch._utils._rebuild_meta_tensor_no_storage": "a meta tensor, which has no values",
    "torch._utils._rebuild_wrapper_subclass": "a tensor of a class of its own",
    "torch._tensor._rebuild_from_type_v2": "a tensor of a class of its own",
    "torch._utils._rebuild_parameter_with_state": "a parameter with attributes of its own",
    "torch.ComplexDoubleStorage": "a tensor of complex128, which safetensors has not",
}
_UNSUPPORTED |= {
    f"torch.{name}Storage": "a quantised tensor"
    for name in ("QInt8", "QUInt8", "QInt32", "QUInt4x2", "QUInt2x4")
}


class ForbiddenError(UnsoundError):
    """A pickle that reaches for something of Python's that no weights need."""


class UnsupportedError(ValueError):
    """A pickle that is sound and holds what cannot be read as plain weights."""


@dataclass(frozen=True)
class Idle:
    """Something that is no weight, and is not looked into."""

    name: str


class _Mark:
    """Where a group of arguments begins on the stack."""


def read(file: BinaryIO, storages: dict[str, Storage]) -> object:
    """Follow one pickle to its end.

    Args:
        file: Stands at the pickle's first byte, and afterwards behind its last.
        storages: Those that the pickle names are added here.

    Returns:
        Numbers, strings, lists, tuples, sets and mappings; `View` for a tensor; `Idle` for the
        rest.

    Raises:
        ForbiddenError: If it reaches for a name that no weights need.
        UnsoundError: If it is damaged, or a tensor of it is not what it claims to be.
        UnsupportedError: If a tensor of it is none with plain values.
    """
    machine = _Machine(storages)
    try:
        for n, (opcode, argument, place) in enumerate(pickletools.genops(file)):
            if n >= MAX_STEPS:
                raise UnsoundError(f"it is a pickle of more than {MAX_STEPS} steps")
            machine.step(opcode.name, argument, place or 0)
    except (UnsoundError, UnsupportedError):
        raise
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise UnsoundError(f"its pickle cannot be followed: {str(error)[:80]}") from None
    return machine.result()


def read_bytes(data: bytes, storages: dict[str, Storage]) -> object:
    """Follow the pickle that `data` are; what comes behind it is refused.

    Raises:
        UnsoundError: As `read` does, or if something comes behind it.
        UnsupportedError: As `read` does.
    """
    file = io.BytesIO(data)
    value = read(file, storages)
    if file.tell() != len(data):
        raise UnsoundError("something comes behind its pickle")
    return value


class _Machine:
    """An unpickler's stack and memo, with descriptions instead of things."""

    def __init__(self, storages: dict[str, Storage]) -> None:
        self._storages = storages
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}
        self._place = 0

    def result(self) -> object:
        if len(self._stack) != 1:
            raise UnsoundError("its pickle ends with a stack that is not empty")
        return self._stack[0]

    def step(self, name: str, argument: object, place: int) -> None:
        stack, self._place = self._stack, place
        if name in _LITERALS:
            stack.append(argument)
        elif name in _MAKERS:
            stack.append(_MAKERS[name]())
        elif name in ("BINGET", "LONG_BINGET"):
            assert isinstance(argument, int)
            stack.append(self._memo[argument])
        elif name in ("BINPUT", "LONG_BINPUT"):
            assert isinstance(argument, int)
            self._memo[argument] = stack[-1]
        elif name == "GLOBAL":
            stack.append(self._name(".".join(str(argument).split(" "))))
        elif name in _STEPS:
            _STEPS[name](self)
        elif name not in ("PROTO", "STOP"):
            raise UnsoundError(f"its pickle has the step {name} at byte {place}: weights need none")

    def _name(self, name: str) -> object:
        if name in _UNSUPPORTED:
            raise UnsupportedError(f"{self._near()}is {_UNSUPPORTED[name]}")
        if name not in DTYPE_OF and name not in _IDLE and name not in _FUNCTIONS:
            raise ForbiddenError(f"its pickle would import {name[:100]} at byte {self._place}")
        return Named(name)

    def _group(self) -> list[object]:
        """What lies above the last mark, which goes with it."""
        group: list[object] = []
        while (value := self._stack.pop()) is not _Mark:
            group.append(value)
        return group[::-1]

    def _tuple(self, n: int) -> None:
        values = [self._stack.pop() for _ in range(n)]
        self._stack.append(tuple(values[::-1]))

    def _append(self, values: list[object]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise UnsoundError(f"its pickle appends to what is no list at byte {self._place}")
        target.extend(values)

    def _set(self, flat: list[object]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict):
            raise UnsoundError(f"its pickle fills what is no mapping at byte {self._place}")
        _fill(target, zip(flat[::2], flat[1::2], strict=True))

    def _call(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, Named) or not isinstance(arguments, tuple):
            raise UnsoundError(f"its pickle calls what is no function at byte {self._place}")
        if function.name in _FUNCTIONS:
            try:
                made = _FUNCTIONS[function.name](*arguments)
            except UnsoundError as error:
                raise UnsoundError(f"{self._near()}{error}") from None
        elif function.name in _IDLE:
            made = Idle(function.name)
        else:
            raise ForbiddenError(f"its pickle would call {function.name} at byte {self._place}")
        self._stack.append(made)

    def _build(self) -> None:
        """Only the notes that a state dict carries as an attribute; they are left out."""
        self._stack.pop()
        if not isinstance(self._stack[-1], dict | Idle):
            raise UnsoundError(f"its pickle sets the state of something at byte {self._place}")

    def _storage(self) -> None:
        match self._stack.pop():
            case ("storage", Named(kind), str(key), str(where), int(n), *more) if not any(more):
                pass
            case _:
                raise UnsoundError(f"{self._near()}has a storage that is none")
        if where == "meta":
            raise UnsupportedError(f"{self._near()}is a meta tensor, which has no values")
        if kind not in DTYPE_OF or not is_count(n):
            raise UnsoundError(f"{self._near()}has a storage of {n} {kind}")
        storage = Storage(key, DTYPE_OF[kind], n)
        if self._storages.setdefault(key, storage) != storage:
            raise UnsoundError(f"{self._near()}has a storage that differs from itself elsewhere")
        self._stack.append(storage)

    def _near(self) -> str:
        """The tensor that is made, by the name that lies below it on the stack."""
        names = [value for value in self._stack[-12:] if isinstance(value, str)]
        if "storage" in names:  # what follows names the storage
            names = names[: names.index("storage")]
        tensor = f"tensor {names[-1][:100]!r}" if names else "a tensor"
        return f"{tensor}, made at byte {self._place}, "


def _ordered(pairs: object = ()) -> dict[object, object]:
    if not isinstance(pairs, list | tuple):
        raise UnsoundError("is a mapping that is none")
    return _fill({}, pairs)


def _fill(
    target: dict[object, object], pairs: Iterable[tuple[object, object]]
) -> dict[object, object]:
    for key, value in pairs:
        if not isinstance(key, str) and not (type(key) is int and abs(key) < 2**63):
            raise UnsoundError("its pickle has a mapping whose keys are neither names nor numbers")
        if key in target:
            raise UnsoundError(f"its pickle has {str(key)[:100]!r} twice in one mapping")
        target[key] = value
    return target


_FUNCTIONS: dict[str, Callable[..., object]] = {
    **BUILDERS,
    "collections.OrderedDict": _ordered,
}
_LITERALS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINSTRING"),
}
_MAKERS: dict[str, Callable[[], object]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": lambda: Idle("set"),
    "MARK": lambda: _Mark,
}
_STEPS: dict[str, Callable[[_Machine], None]] = {
    "TUPLE": lambda machine: machine._stack.append(tuple(machine._group())),
    "TUPLE1": lambda machine: machine._tuple(1),
    "TUPLE2": lambda machine: machine._tuple(2),
    "TUPLE3": lambda machine: machine._tuple(3),
    "APPEND": lambda machine: machine._append([machine._stack.pop()]),
    "APPENDS": lambda machine: machine._append(machine._group()),
    "SETITEM": lambda machine: machine._set([machine._stack.pop(), machine._stack.pop()][::-1]),
    "SETITEMS": lambda machine: machine._set(machine._group()),
    "REDUCE": lambda machine: machine._call(),
    "BUILD": lambda machine: machine._build(),
    "BINPERSID": lambda machine: machine._storage(),
}
