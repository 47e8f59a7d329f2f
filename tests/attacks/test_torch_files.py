"""Files of PyTorch's that were made to run code, to mislead or to overwhelm.

Each is refused by its parent's reading, within seconds, before any torch is loaded for it; and
torch's own loader, in the child, would refuse those that run code as well.
"""

from __future__ import annotations

import builtins
import gzip
import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from alnico.checkpoint import weights_only
from alnico.checkpoint.scan import scan
from alnico.checkpoint.weights_only import convert
from alnico.errors import AlnicoError, DataError, UnsafeFileError

SYSTEM = f"{os.system.__module__}.system"
MARK = "it_was_run"


class Runs:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.made = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self.made


class Hidden(OrderedDict[str, object]):
    """A state dict of a class of its own, which is told its state."""

    def __setstate__(self, state: object) -> None:
        raise AssertionError("it was called")


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(f"archive/{name}", data)
    return made.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def saved(value: object, *, is_zip: bool = True, protocol: int = 2) -> bytes:
    made = io.BytesIO()
    torch.save(value, made, pickle_protocol=protocol, _use_new_zipfile_serialization=is_zip)
    return made.getvalue()


def in_torch(data: bytes) -> bytes:
    """A pickle as the one of a file of torch's."""
    notes = {"byteorder": b"little", "version": b"3\n"}
    return zipped({"data.pkl": data, "data/0": bytes(12), **notes})


def view(offset: int = 0, shape: bytes = b"K\x03\x85", strides: bytes = b"K\x01\x85") -> bytes:
    """`{"w": tensor}` with a storage of three floats, written by hand."""
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x03tQ"
    place = b"J" + struct.pack("<i", offset) + shape + strides
    hooks = b"\x89ccollections\nOrderedDict\n)R"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + place + hooks + b"tR"
    return b"\x80\x02}X\x01\0\0\0w" + tensor + b"s."


LEGACY = b"".join(pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": 1}))
COMMAND = f"touch {MARK}"
STATE = {"w": torch.ones(3)}
BY_HAND = b"\x80\x02cbuiltins\neval\nX\x05\0\0\0exit()\x85R."
STACKED = (
    b"\x80\x04\x8c\x05posix\x8c\x06system\x93X"
    + struct.pack("<I", 13)
    + b"touch it_was_"
    + b"\x85R."
)

RUNS_CODE = {
    "os.system": saved({**STATE, "x": Runs(os.system, COMMAND)}),
    "os.system, legacy": saved({**STATE, "x": Runs(os.system, COMMAND)}, is_zip=False),
    "os.system, protocol 4": saved({**STATE, "x": Runs(os.system, COMMAND)}, protocol=4),
    "os.system, bare": pickle.dumps(Runs(os.system, COMMAND)),
    "in place of the magic number": pickle.dumps(Runs(os.system, COMMAND)) + LEGACY,
    "behind the weights, legacy": LEGACY + pickle.dumps(Runs(os.system, COMMAND), 2),
    "eval": saved([Runs(builtins.eval, f"open({MARK!r}, 'w')")]),
    "exec, nested": saved({"a": [{"b": (Runs(builtins.exec, f"open({MARK!r}, 'w')"),)}]}),
    "reduce of a reduce": saved(Runs(getattr, Runs(__import__, "os"), "system")),
    "subprocess": saved([Runs(subprocess.Popen, ["touch", MARK])]),
    "STACK_GLOBAL": in_torch(STACKED),
    "by the oldest steps": in_torch(b"(S'touch it_was_run'\nios\nsystem\n."),
    "from an extension": in_torch(b"\x80\x02\x82\x01)R."),
    "a class with a state": saved(Hidden(w=torch.ones(2))),
    "a whole module": saved(torch.nn.Linear(2, 2)),
    "torch.load": saved([Runs(torch.load, "other.pt")]),
    "torch.hub": in_torch(b"\x80\x02ctorch.hub\nload\nX\x01\0\0\0a\x85R."),
    "numpy's load": in_torch(b"\x80\x02cnumpy\nload\nX\x01\0\0\0a\x85R."),
    "a dtype that is called": in_torch(b"\x80\x02ctorch\nfloat32\n)R."),
    "in a zip in a tar": tarred(
        {"inner.zip": zipped({"a.pkl": pickle.dumps(Runs(os.system, COMMAND))})}
    ),
    "a second pickle beside": zipped({"data.pkl": view(), "data/0": bytes(12), "x.pkl": BY_HAND}),
    "a second pickle behind": in_torch(view() + BY_HAND),
    "a TorchScript archive": zipped({"data.pkl": view(), "data/0": bytes(12), "code/a.py": b""}),
}

MISLEADS = {
    "begins before its storage": in_torch(view(-1)),
    "ends behind its storage": in_torch(view(1)),
    "longer than its storage": in_torch(view(shape=b"K\x04\x85")),
    "strides past its storage": in_torch(view(strides=b"K\x02\x85")),
    "strides backwards": in_torch(view(2, strides=b"J\xff\xff\xff\xff\x85")),
    "a negative length": in_torch(view(shape=b"J\xff\xff\xff\xff\x85")),
    "more strides than lengths": in_torch(view(strides=b"K\x01K\x01\x86")),
    "a storage that is shorter than claimed": zipped({"data.pkl": view(), "data/0": bytes(8)}),
    "a storage that is not there": zipped({"data.pkl": view()}),
    "a storage outside of the archive": in_torch(
        view().replace(b"\x01\0\0\x000", b"\x04\0\0\0../x")
    ),
    "spread over an exabyte": in_torch(
        view(shape=b"\x8a\x06" + (2**40).to_bytes(6, "little") + b"\x85", strides=b"K\0\x85")
    ),
    "the oldest format": tarred({"sys_info": pickle.dumps({}, 2), "storages": pickle.dumps(0, 2)}),
    "compressed": gzip.compress(saved(STATE)),
    "packed": zipped({"data.pkl": view(), "data/0": bytes(12)}, zipfile.ZIP_DEFLATED),
    "a bomb": zipped({"data.pkl": view(), "data/0": bytes(10**8)}, zipfile.ZIP_DEFLATED),
    "a tensor twice": in_torch(view()[:-2] + b"X\x01\0\0\0wK\x01s.".replace(b"X", b"sX", 1)),
    "cut": saved(STATE)[:-40],
    "cut, legacy": saved(STATE, is_zip=False)[:-4],
    "longer, legacy": saved(STATE, is_zip=False) + bytes(4),
    "text": b"weights",
    "nothing": b"",
}

UNREADABLE = {
    "big-endian": zipped({"data.pkl": view(), "data/0": bytes(12), "byteorder": b"big"}),
    "a meta tensor": saved({"w": torch.empty(3, device="meta")}),
    "a sparse tensor": saved({"w": torch.eye(3).to_sparse()}),
    "a meta storage": in_torch(view().replace(b"\x03\0\0\0cpu", b"\x04\0\0\0meta")),
    "a quantised tensor": in_torch(view().replace(b"_rebuild_tensor_v2", b"_rebuild_qtensor")),
}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in a folder of its own, where a child process must never be started."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a child was started")

    monkeypatch.setattr(weights_only, "run_module", refuse)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "pytorch_model.bin"


def refusal(path: Path, data: bytes, kind: type[AlnicoError]) -> str:
    path.write_bytes(data)
    began = time.process_time()
    with pytest.raises(kind) as caught:
        convert(path)
    assert time.process_time() - began < 2
    assert list(path.parent.iterdir()) == [path] and path.read_bytes() == data
    assert str(path) in caught.value.message and caught.value.help
    return caught.value.message


@pytest.mark.parametrize("case", RUNS_CODE)
def test_a_file_that_would_run_code_is_refused_and_runs_none(path: Path, case: str) -> None:
    message = refusal(path, RUNS_CODE[case], UnsafeFileError)
    if case.startswith("os.system") and "4" not in case:
        assert f"would call {SYSTEM} at byte" in message
    assert [finding.verdict for finding in scan(path)] == ["unsafe"]


@pytest.mark.parametrize("case", MISLEADS)
def test_a_file_that_misleads_is_refused(path: Path, case: str) -> None:
    assert "is refused: " in refusal(path, MISLEADS[case], UnsafeFileError)


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_file_without_plain_values_is_refused_for_what_it_is(path: Path, case: str) -> None:
    message = refusal(path, UNREADABLE[case], DataError)
    assert case.removesuffix("storage").removesuffix("tensor") in message


def test_the_file_that_the_attacks_are_made_from_is_sound(path: Path) -> None:
    path.write_bytes(in_torch(view()))
    assert torch.equal(torch.load(path)["w"], torch.zeros(3))
    assert list(weights_only.find_weights(path).tensors) == ["w"]


def test_a_bit_that_flips_is_found_by_the_checksum_alone(path: Path) -> None:
    data = bytearray(saved({"w": torch.zeros(1000)}))
    data[data.index(bytes(4000)) + 1500] = 1
    assert "Bad CRC-32" in refusal(path, bytes(data), UnsafeFileError)


@pytest.mark.parametrize("case", ["os.system", "eval", "subprocess", "a class with a state"])
def test_torch_in_the_child_would_not_run_it_either(path: Path, case: str) -> None:
    path.write_bytes(RUNS_CODE[case])
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True, mmap=True)
    assert list(path.parent.iterdir()) == [path]


def test_memory_stays_small_whatever_a_file_claims(path: Path) -> None:
    with path.open("wb") as file:
        file.write(saved(STATE, is_zip=False))
        file.truncate(2**33)
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from alnico.checkpoint.weights_only import convert\n"
        "try: convert(Path(sys.argv[1]))\n"
        "except ValueError as error: assert 'behind its last storage' in str(error)\n"
        "assert 'torch' not in sys.modules\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True)
    assert int(done.stdout) < 150_000  # KiB
