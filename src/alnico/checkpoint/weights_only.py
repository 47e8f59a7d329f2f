"""PyTorch's `.bin`, `.pt` and `.pth` as safetensors, without running what a pickle says.

A file is looked through by our own rules, then loaded by torch's weights-only loader in a child
process with limits. Neither trusts the other: what the child writes must be what was described.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from alnico.checkpoint.header import SIZES, read_header
from alnico.checkpoint.regular import RegularFile
from alnico.checkpoint.sandbox import Limits, run_module
from alnico.checkpoint.shards import ModelFile, Out, one_file
from alnico.checkpoint.torch_file import check_sums, read_torch
from alnico.checkpoint.views import View
from alnico.errors import DataError, OutputError, UnsafeFileError
from alnico.progress import note, spaced

WRAPPERS = ("state_dict", "model_state_dict", "model", "module")
"""Under which names a training script keeps a state dict beside other things."""

_CHILD = "alnico.checkpoint.unpickle"
_MOST_GROWTH = 16  # tensors that share their values are written in full
_SMALL_CHANGE = 256 * 2**20
_BYTES_PER_SECOND = 20_000_000


@dataclass(frozen=True)
class Weights:
    """The state dict of a file.

    Args:
        key: The name under which it lies; None if the file holds nothing else.
        tensors: Name -> what the tensor is, in the order of the file.
        ignored: The names of what lies beside, and is no tensor of it.
        is_zip: Whether the file can be mapped.
    """

    key: str | None
    tensors: Mapping[str, View]
    ignored: tuple[str, ...]
    is_zip: bool

    @property
    def layout(self) -> ModelFile:
        """The safetensors file that they become."""
        outs = [Out(name, view.dtype, view.shape) for name, view in self.tensors.items()]
        return one_file("", outs, {"format": "pt"})


def find_weights(path: Path) -> Weights:
    """Say which tensors a file of PyTorch's holds; none is read, and nothing of it is run.

    Raises:
        DataError: If it cannot be read, or it is not clear which of its tensors are the weights.
        UnsafeFileError: If it would run code, is damaged, or lies.
    """
    found = read_torch(path)
    if not isinstance(found.value, dict):
        raise _no_state_dict(path, f"it holds {_kind(found.value)}")
    key = None if _holds_tensors(found.value) else _wrapper(path, found.value)
    state = found.value if key is None else found.value[key]
    tensors = {name: value for name, value in state.items() if isinstance(value, View)}
    others = {name: value for name, value in state.items() if not isinstance(value, View)}
    nested = [name for name, value in others.items() if any(_views(value))]
    if nested:
        raise _no_state_dict(path, f"beside its tensors, {nested[0]!r} has tensors in it")
    odd = [name for name in tensors if not isinstance(name, str)]
    if odd:
        raise _no_state_dict(path, f"a tensor of it is called {odd[0]}, which is no name")
    beside = [name for name in found.value if name != key] if key is not None else []
    ignored = (*map(str, others), *map(str, beside))
    return Weights(key, tensors, ignored, found.is_zip)


def convert(path: Path) -> Path:
    """Write the weights of a file of PyTorch's to a temporary safetensors file.

    Tensors that share their values are written in full, each under its own name.

    Args:
        path: The file; what it is counts, not how its name ends.

    Returns:
        A file in the system's temporary folder, which is the caller's to remove.

    Raises:
        DataError: If it cannot be read, or it is not clear which of its tensors are the weights.
        OutputError: If the temporary folder has no room for it.
        UnsafeFileError: If it would run code, is damaged, or lies.
    """
    return convert_all([path])[0]


def convert_all(paths: Sequence[Path]) -> list[Path]:
    """Convert the shards of a model as `convert` does, with one child process for all of them.

    Raises:
        DataError: As `convert` does; no file is left then.
        OutputError: As `convert` does.
        UnsafeFileError: As `convert` does.
    """
    with ExitStack() as on_failure, ExitStack() as opened:
        sources = [opened.enter_context(RegularFile(path)) for path in paths]
        found = [_checked(source) for source in sources]
        layouts = [weights.layout for weights in found]
        _check_room(paths, layouts)
        targets = []
        for layout in layouts:
            targets.append(_create(layout))
            on_failure.callback(targets[-1].unlink, missing_ok=True)
        _fill(sources, targets, found)
        for source, target, layout in zip(sources, targets, layouts, strict=True):
            _check_result(source.path, target, layout)
            source.check_unchanged()
        on_failure.pop_all()
    for path, weights in zip(paths, found, strict=True):
        _say(path, weights)
    return targets


def _checked(source: RegularFile) -> Weights:
    """The weights of a file, if it is sound to its last byte and does not grow without measure."""
    weights = find_weights(source.path)
    for name, view in weights.tensors.items():
        if _n_bytes(view) > _MOST_GROWTH * source.size:
            raise _grows(source.path, f"tensor {name!r}", _n_bytes(view))
    n_bytes = sum(map(_n_bytes, weights.tensors.values()))
    if n_bytes > _MOST_GROWTH * source.size:
        raise _grows(source.path, f"its {len(weights.tensors)} tensors", n_bytes)
    if weights.is_zip:
        check_sums(source.path)
    return weights


def _wrapper(path: Path, value: dict[object, object]) -> str:
    """The one name of `WRAPPERS` under which a state dict lies."""
    found = [key for key in WRAPPERS if _holds_tensors(value.get(key))]
    if len(found) > 1:
        raise _no_state_dict(path, f"it holds several, {found[0]!r} and {found[1]!r} among them")
    if not found:
        others = [str(key) for key, part in value.items() if any(_views(part))]
        names = ", ".join(map(repr, others[:4]))
        raise _no_state_dict(path, f"its tensors lie in {names}" if names else "it has no tensor")
    return found[0]


def _holds_tensors(value: object) -> bool:
    return isinstance(value, dict) and any(isinstance(part, View) for part in value.values())


def _views(value: object) -> Iterator[View]:
    """The tensors in nested mappings and lists; what contains itself does no harm."""
    waiting, seen = [value], set[int]()
    while waiting:
        part = waiting.pop()
        if isinstance(part, View):
            yield part
        elif isinstance(part, dict | list | tuple) and id(part) not in seen:
            seen.add(id(part))
            waiting.extend(part.values() if isinstance(part, dict) else part)


def _check_room(paths: Sequence[Path], layouts: Sequence[ModelFile]) -> None:
    needed = sum(layout.n_bytes for layout in layouts)
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if needed > free:
        raise OutputError(
            f"{paths[0]} cannot be converted: {spaced(needed)} bytes are needed in "
            f"{tempfile.gettempdir()}, and {spaced(free)} are free",
            help="set TMPDIR to a folder with more room",
        )


def _create(layout: ModelFile) -> Path:
    """A file of its own that only this user can read, with its header and its full size."""
    opened, name = tempfile.mkstemp(prefix="alnico-", suffix=".safetensors")
    with os.fdopen(opened, "wb") as file:
        file.write(layout.header)
        file.truncate(layout.n_bytes)
    return Path(name)


def _fill(
    sources: Sequence[RegularFile], targets: Sequence[Path], found: Sequence[Weights]
) -> None:
    largest = max(_n_bytes(view) for weights in found for view in weights.tensors.values())
    size = max(source.size for source in sources)
    seconds = 60 + sum(target.stat().st_size for target in targets) // _BYTES_PER_SECOND
    file = max(target.stat().st_size for target in targets)
    limits = Limits(size + 2 * largest + _SMALL_CHANGE, file, seconds)
    jobs = [
        (str(source.path.absolute()), str(target), weights.key, weights.is_zip)
        for source, target, weights in zip(sources, targets, found, strict=True)
    ]
    arguments = [json.dumps(asdict(limits)), json.dumps(jobs)]
    fault = run_module(_CHILD, arguments, seconds=4 * seconds)
    if fault is not None:
        more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
        raise DataError(
            f"{sources[0].path}{more} cannot be converted: torch's loader failed: {fault}",
            help="get it as .safetensors, or save its state_dict() again with torch.save",
        )


def _check_result(path: Path, target: Path, layout: ModelFile) -> None:
    header = read_header(target)
    found = [(name, entry.dtype, entry.shape) for name, entry in header.tensors.items()]
    if found != [(out.name, out.dtype, out.shape) for out in layout.tensors]:
        raise DataError(f"{path} cannot be converted: what was written is not what it described")


def _n_bytes(view: View) -> int:
    return math.prod(view.shape) * SIZES[view.dtype]


def _kind(value: object) -> str:
    return "one tensor" if isinstance(value, View) else f"a value of type {type(value).__name__}"


def _say(path: Path, weights: Weights) -> None:
    place = "" if weights.key is None else f" in {weights.key!r}"
    left = f"; left out: {', '.join(weights.ignored[:6])}" if weights.ignored else ""
    more = f", {len(weights.ignored) - 6} more" if len(weights.ignored) > 6 else ""
    note("convert", f"{path}: {len(weights.tensors)} tensors{place}{left}{more}")


def _no_state_dict(path: Path, what: str) -> DataError:
    return DataError(
        f"{path} has no single state dict: {what}",
        help="save the one that you mean by itself: torch.save(model.state_dict(), ...)",
    )


def _grows(path: Path, what: str, n_bytes: int) -> UnsafeFileError:
    return UnsafeFileError(
        f"{path} is refused: {what} would take {spaced(n_bytes)} bytes, many times the file's size",
        help="it was made to overwhelm, or save it again with its tensors cloned",
    )
