"""Machine code of kernels in the user's cache folder: kept, checked and loaded, without numba.

To load it takes a hundredth of the time that numba takes to start. A folder that others can write
to is not used.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from alnico.progress import warn

FOLDER = "ALNICO_CACHE"
"""The environment variable that names another cache folder."""

_SIGNATURE = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_void_p,
)
_NEVER_CALLED = ("NRT_MemInfo_call_dtor",)
"""What code refers to that would free an array, and no kernel makes one."""

_stand_in = ctypes.CFUNCTYPE(None)(lambda: None)
_engines: list[Any] = []


class Code(NamedTuple):
    """A compiled function.

    Args:
        symbol: What it is called in the object.
        data: The object, as the linker reads it.
    """

    symbol: str
    data: bytes


def load(code: Code) -> Callable[[int, int, int, ctypes.Array[ctypes.c_int64]], None]:
    """Make a function of code: of n, start, row, and the addresses of its arrays."""
    import llvmlite.binding as llvm

    machine = _machine()
    module = llvm.parse_assembly("")
    module.triple = llvm.get_process_triple()
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(code.data))
    engine.finalize_object()
    _engines.append(engine)  # the code goes away with it
    function = _SIGNATURE(engine.get_function_address(code.symbol))
    unused = (ctypes.c_void_p * 2)()  # a result and an error, of which there are none
    result, error = ctypes.addressof(unused), ctypes.addressof(unused) + ctypes.sizeof(unused) // 2

    def run(n: int, start: int, row: int, addresses: ctypes.Array[ctypes.c_int64]) -> None:
        assert len(unused) == 2  # they live as long as the function
        function(result, error, n, start, row, ctypes.addressof(addresses))

    return run


def find(text: str) -> Code | None:
    """The code that was kept of a text, if it is whole."""
    path = _path(text)
    if path is None:
        return None
    try:
        if path.is_symlink():
            return None
        head, _, data = path.read_bytes().partition(b"\n")
        told = json.loads(head)
        fits = told["text"] == text and told["sha256"] == hashlib.sha256(data).hexdigest()
        return Code(str(told["symbol"]), data) if fits else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(text: str, code: Code) -> None:
    """Keep the code of a text, if there is a place for it."""
    path = _path(text)
    if path is None:
        return
    head = {
        "text": text,
        "symbol": code.symbol,
        "sha256": hashlib.sha256(code.data).hexdigest(),
    }
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(json.dumps(head).encode() + b"\n" + code.data)
        partial.replace(path)
    except OSError:  # the disk is full, or the folder vanished: it is compiled again
        partial.unlink(missing_ok=True)


@cache
def kernel_folder() -> Path | None:
    """Where kernels are kept; None if there is no place that only the user can write to."""
    home = os.environ.get(FOLDER) or os.environ.get("XDG_CACHE_HOME")
    try:
        root = Path(home) if home else Path.home() / ".cache"
        folder = (root if os.environ.get(FOLDER) else root / "alnico") / "kernels"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except (OSError, RuntimeError):
        return None
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o022):
        warn(
            f"{folder} can be written by others: compiled kernels are not kept there",
            help=f"chmod 700 {folder}",
        )
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def _path(text: str) -> Path | None:
    """Where the code of a text is kept: code is for one processor and one version of LLVM.

    What a text imports is a part of it, too.
    """
    folder = kernel_folder()
    if folder is None:
        return None
    key = "\n".join([text, *_surroundings()])
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.kernel"


@cache
def _surroundings() -> tuple[str, ...]:
    """What a text imports, the version of LLVM, and the processor."""
    import llvmlite
    import llvmlite.binding as llvm

    here = Path(__file__)
    imported = [here.with_name(name).read_text("utf-8") for name in ("intrinsics.py", "call.py")]
    processor = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    return (*imported, llvmlite.__version__, *processor)


@cache
def _machine() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    address = ctypes.cast(_stand_in, ctypes.c_void_p).value
    for name in _NEVER_CALLED:
        llvm.add_symbol(name, address)
    return llvm.Target.from_default_triple().create_target_machine(jit=True)
