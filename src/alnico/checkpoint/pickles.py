"""What a pickle would do if it were loaded, read from its opcodes; nothing is ever loaded."""

from __future__ import annotations

import io
import pickletools
from dataclasses import dataclass
from typing import Literal

MAX_OPCODES = 300_000
PROTOCOL = b"\x80"

_HARMLESS = {
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch.Size",
    "torch.device",
    "torch.serialization._get_layout",
    "numpy.ndarray",
    "numpy.dtype",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.core.numeric._frombuffer",
    "numpy._core.numeric._frombuffer",
    "_codecs.encode",
}
_STRINGS = {
    "STRING",
    "BINSTRING",
    "SHORT_BINSTRING",
    "UNICODE",
    "SHORT_BINUNICODE",
    "BINUNICODE",
    "BINUNICODE8",
}
_PUT = {"PUT", "BINPUT", "LONG_BINPUT"}
_GET = {"GET", "BINGET", "LONG_BINGET"}
_KEEP_THE_FIRST = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}
_RESULT = "(...)"
_MAX_NAME = 100


@dataclass(frozen=True)
class Use:
    """Something of Python's that a pickle reaches for.

    Args:
        how: An import runs a module; a call runs what it names.
        name: Of what, e.g. `os.system`.
        byte: Where, counted from the start of the file.
    """

    how: Literal["import", "call"]
    name: str
    byte: int

    @property
    def is_harmless(self) -> bool:
        """Whether it only builds tensors or containers of the usual kinds."""
        root = self.name.split(_RESULT)[0]
        is_storage = root.startswith("torch.") and root.endswith("Storage") and root.count(".") == 1
        return root in _HARMLESS or is_storage


@dataclass(frozen=True)
class Trace:
    """What was found in the opcodes.

    Args:
        uses: Imports and calls, in order.
        n_opcodes: How many opcodes could be followed.
        end: The last pickle ended; or it was left when it became too long; or what follows is none.
    """

    uses: tuple[Use, ...]
    n_opcodes: int
    end: Literal["stop", "too long", "fault"]

    @property
    def worst(self) -> Use | None:
        """The first call of something harmful, else the first import of it."""
        harmful = [use for use in self.uses if not use.is_harmless]
        return next((use for use in harmful if use.how == "call"), next(iter(harmful), None))


def trace(data: bytes) -> Trace:
    """Follow the opcodes of the pickles at the start of `data`, one after the other.

    What comes before a fault counts: an unpickler runs it before it meets the fault.

    Args:
        data: A file, or the beginning of one.
    """
    uses: list[Use] = []
    n_opcodes, stream = 0, io.BytesIO(data)
    while n_opcodes == 0 or data.startswith(PROTOCOL, stream.tell()):
        machine = _Machine(uses)
        try:
            for opcode, argument, place in pickletools.genops(stream):
                machine.step(opcode, argument, place or 0)
                n_opcodes += 1
                if n_opcodes >= MAX_OPCODES:
                    return Trace(tuple(uses), n_opcodes, "too long")
        except (ValueError, IndexError, KeyError, OverflowError, DeprecationWarning):
            return Trace(tuple(uses), n_opcodes, "fault")
    return Trace(tuple(uses), n_opcodes, "stop")


def is_pickle(data: bytes, found: Trace) -> bool:
    """Whether data are a pickle by what is in them, whatever they are called.

    A pickle of protocol 0 or 1 has no mark at its start, and looks like text: it counts as one if
    it calls something. One that calls nothing is recognised by its file's name alone.
    """
    if data.startswith(PROTOCOL):
        return found.n_opcodes >= 2
    return found.end == "too long" or any(use.how == "call" for use in found.uses)


class _Mark:
    """Where a group of arguments begins on the stack."""


@dataclass(frozen=True)
class _Named:
    """Something of Python's, or what a call of it gives."""

    name: str


class _Machine:
    """The unpickler's stack and memo, with names instead of things."""

    def __init__(self, uses: list[Use]) -> None:
        self._uses = uses
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}

    def step(self, opcode: pickletools.OpcodeInfo, argument: object, place: int) -> None:
        """Do what an opcode does to the stack; an empty one raises IndexError."""
        name, stack = opcode.name, self._stack
        if name in _STRINGS:
            stack.append(
                str(argument)[:_MAX_NAME]
            )  # a name made of megabytes would be one each time
        elif name == "MARK":
            stack.append(_Mark)
        elif name == "DUP":
            stack.append(stack[-1])
        elif name in _GET:
            stack.append(self._memo[_number(argument)])
        elif name in _PUT:
            self._memo[_number(argument)] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("GLOBAL", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"):
            stack.append(self._import(name, argument, place))
        else:
            self._take_and_give(opcode, argument, place)

    def _import(self, opcode: str, argument: object, place: int) -> _Named:
        if opcode == "GLOBAL":
            name = _dotted(argument)
        elif opcode == "STACK_GLOBAL":
            attribute, module = self._stack.pop(), self._stack.pop()
            known = isinstance(attribute, str) and isinstance(module, str)
            name = f"{module}.{attribute}" if known else "a name that it computes"
        else:
            name = f"extension {argument}"
        self._use("import", name, place)
        return _Named(name)

    def _take_and_give(self, opcode: pickletools.OpcodeInfo, argument: object, place: int) -> None:
        """Take from the stack what an opcode takes, and put back as many things as it gives."""
        taken = self._take(opcode)
        gives: list[object] = [None] * len(opcode.stack_after)
        if opcode.name == "INST":
            gives = [self._call(_Named(_dotted(argument)), place)]
        elif opcode.name in ("REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ"):
            gives = [self._call(taken[0], place)]
        elif opcode.name in _KEEP_THE_FIRST:
            gives = [taken[0]]
            if opcode.name == "BUILD" and isinstance(taken[0], _Named):
                self._use("call", f"{taken[0].name}.__setstate__", place)
        self._stack.extend(gives)

    def _take(self, opcode: pickletools.OpcodeInfo) -> list[object]:
        before = opcode.stack_before
        if pickletools.markobject not in before:
            return [self._stack.pop() for _ in before][::-1]
        group: list[object] = []
        while (value := self._stack.pop()) is not _Mark:
            group.append(value)
        n_below = before.index(pickletools.markobject)
        return [self._stack.pop() for _ in range(n_below)][::-1] + group[::-1]

    def _call(self, what: object, place: int) -> _Named:
        name = what.name if isinstance(what, _Named) else "something that it computes"
        self._use("call", name, place)
        return _Named(name if name.endswith(_RESULT) else name + _RESULT)

    def _use(self, how: Literal["import", "call"], name: str, place: int) -> None:
        self._uses.append(Use(how, name, place))


def _dotted(argument: object) -> str:
    """`os system`, as the opcodes have it -> `os.system`; text that names nothing is a fault."""
    name = ".".join(str(argument).split(" "))
    if not all(part.isidentifier() for part in name.split(".")):
        raise ValueError("no name of Python's")
    return name[:_MAX_NAME]


def _number(argument: object) -> int:
    if not isinstance(argument, int):
        raise ValueError("no place of the memo")
    return argument
