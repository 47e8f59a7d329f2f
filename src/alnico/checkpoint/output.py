"""A model that appears whole or not at all, or goes on after its writer was killed.

It grows in a hidden folder beside its place, is read back, and is then moved there by renames.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from alnico.checkpoint.files import (
    check_place,
    move_file,
    move_folder,
    sync_folder,
    sync_tree,
    writing,
)
from alnico.checkpoint.header import read_header
from alnico.checkpoint.partial import Partial, holding
from alnico.checkpoint.shards import (
    INDEX,
    SHARD_BYTES,
    ModelFile,
    Out,
    in_shards,
    index_bytes,
    one_file,
)
from alnico.checkpoint.sink import Sink
from alnico.errors import AlnicoError, OutputError, RecipeError
from alnico.progress import note

SUFFIX = ".safetensors"
FOREIGN = (".bin", ".ckpt", ".gguf", ".onnx", ".pt", ".pth")
RECORD = "run.json"


def check_output(place: Path, *, force: bool = False) -> None:
    """Check, before any work is done, that a model can be written.

    Args:
        place: Where it is to be: a file if it ends in `.safetensors`, else a folder.
        force: Whether a model there may be replaced; nothing else ever is.

    Raises:
        OutputError: If it cannot.
    """
    if place.suffix.lower() in FOREIGN:
        raise OutputError(
            f"{place}: a model in one file is written as {SUFFIX}",
            help=f"-o {place.with_suffix(SUFFIX)}; or a folder, which has no such suffix",
        )
    check_place(place, force=force)
    if _is_file(place):
        check_place(_record_of(place), force=force)
        for path in (place, _record_of(place)):
            if path.is_dir():
                raise OutputError(f"{path} is a folder, not a file", help="choose another -o")
    elif os.path.lexists(place) and not place.is_dir():
        raise OutputError(
            f"{place} is a file, not a folder", help=f"choose another -o; a file ends in {SUFFIX}"
        )
    elif place.is_dir() and not _may_go(place):
        raise OutputError(
            f"{place} is there already and holds no model, so it is not replaced",
            help="choose another -o",
        )


@contextmanager
def new_model(
    place: Path,
    tensors: Sequence[Out],
    *,
    key: str,
    shard_bytes: int | None = None,
    metadata: Mapping[str, str] | None = None,
    force: bool = False,
    resume: bool = False,
) -> Iterator[Sink]:
    """Give a sink for a model's tensors; at the end of the block it is at `place`, and on disk.

    A model in a folder takes with it all that the block writes to the sink's folder. Of a model
    in a file only `run.json` is kept, as `NAME.run.json` beside it; a process killed between the
    two renames leaves a model without a record, never one with another's.

    Threads that write must have ended when the block does. An error in it leaves nothing. Ctrl-C
    and a kill leave `.NAME.partial`, from which `resume` goes on; otherwise the next writer removes
    it.

    Args:
        place: Where it is to be: a file if it ends in `.safetensors`, else a folder.
        tensors: What it will hold. In a file, wide dtypes come first, else this order is kept.
        key: What it is made of, as a digest; only a writer with the same key goes on.
        shard_bytes: A folder: how large the tensors of one file may be; None is 5 GB.
        metadata: Notes to keep in each file; None says that they are of torch, as readers ask.
        force: Whether a model there may be replaced; it stays until the new one is complete.
        resume: Whether to go on with what an interrupted writer left; if there is nothing, this
            is noted and all begins anew.

    Raises:
        OutputError: As `check_output` does; if another process writes there, the disk is full, or
            what was left is not of this key; at the end, if a tensor was not finished. What was
            there is still there.
        RecipeError: If a tensor has no place in the format, or a file is to be in shards.
    """
    files = _lay_out(
        place, tensors, shard_bytes, {"format": "pt"} if metadata is None else metadata
    )
    check_output(place, force=force)
    with holding(place) as partial:
        _bring_back(partial)
        check_output(place, force=force)  # another writer may just have ended
        sink = _sink(partial, files, key, resume=resume)
        try:
            yield sink
            sink.check_complete()
            sink.close()
            with writing(place):
                _check_written(partial, files)
                _move(partial, force=force)
        except BaseException as error:
            sink.close()
            _leave(partial, sink, interrupted=isinstance(error, KeyboardInterrupt))
            raise
        partial.clear()


def _lay_out(
    place: Path, tensors: Sequence[Out], shard_bytes: int | None, metadata: Mapping[str, str]
) -> tuple[ModelFile, ...]:
    if not _is_file(place):
        return in_shards(tensors, metadata, SHARD_BYTES if shard_bytes is None else shard_bytes)
    if shard_bytes is not None:
        raise RecipeError(
            f"{place} is one file, which has no shards",
            help=f"leave out --shard-size, or write a folder: -o {place.with_suffix('')}",
        )
    return (one_file(place.name, tensors, metadata),)


def _sink(partial: Partial, files: Sequence[ModelFile], key: str, *, resume: bool) -> Sink:
    sink = partial.go_on(files, key) if resume else None
    if sink is not None:
        n = sum(len(file.tensors) for file in files)
        note("write", f"{len(sink.done)} of {n} tensors were finished before")
        return sink
    if resume:
        note("write", f"nothing to go on with at {partial.place}: from the start")
    try:
        return partial.begin(files, key)
    except BaseException:
        partial.clear()
        raise


def _check_written(partial: Partial, files: Sequence[ModelFile]) -> None:
    """Write the index, wait for the disk, and see that every file reads back as it was meant."""
    if len(files) > 1:
        (partial.model / INDEX).write_bytes(index_bytes(files))
    sync_tree(partial.model)
    for file in files:
        try:
            found = read_header(partial.model / file.name).tensors
        except AlnicoError as error:
            raise OutputError(
                f"{partial.place}: {file.name} does not read back: {error.message}"
            ) from error
        if [Out(n, entry.dtype, entry.shape) for n, entry in found.items()] != [*file.tensors]:
            raise OutputError(f"{partial.place}: {file.name} does not read back as it was written")


def _move(partial: Partial, *, force: bool) -> None:
    if _is_file(partial.place):
        _move_pair(partial, force=force)
    else:
        move_folder(partial.model, partial.place, force=force, aside=partial.old)
    sync_folder(partial.place.parent)


def _move_pair(partial: Partial, *, force: bool) -> None:
    """A file and its record: the old record goes first, so that it never stands by a new model."""
    place, record = partial.place, _record_of(partial.place)
    new_record = partial.model / RECORD
    partial.old.mkdir()
    with ExitStack() as undo:
        if os.path.lexists(record):
            record.rename(partial.old / RECORD)
            undo.callback((partial.old / RECORD).rename, record)
        if force and os.path.lexists(place):
            _keep(place, partial.old / place.name)
            undo.callback((partial.old / place.name).replace, place)
        move_file(partial.model / place.name, place, force=force)
        if not force:
            undo.callback(place.unlink)
        if new_record.exists():
            move_file(new_record, record, force=False)
        undo.pop_all()


def _keep(place: Path, kept: Path) -> None:
    """A second name for a file, which stays at its place if the file system can do that."""
    try:
        kept.hardlink_to(place)
    except OSError:
        place.rename(kept)


def _bring_back(partial: Partial) -> None:
    """What a killed writer had moved away, and not yet put a new model for, goes where it was."""
    place, kept = partial.place, {partial.old: partial.place}
    if _is_file(place):
        if not (partial.model / place.name).exists():  # the new one is in place
            return
        kept = {partial.old / place.name: place, partial.old / RECORD: _record_of(place)}
    with writing(place):
        for old, path in kept.items():
            if os.path.lexists(old) and not os.path.lexists(path):
                old.rename(path)


def _leave(partial: Partial, sink: Sink, *, interrupted: bool) -> None:
    """Keep nothing after an error; after Ctrl-C what is finished, and say how to go on."""
    if interrupted and sink.done and all(path.is_file() for path in sink.files):
        text = f"{len(sink.done)} finished tensors are kept; go on with --resume"
        note("write", f"{partial.place}: {text}")
    else:
        partial.clear()


def _may_go(folder: Path) -> bool:
    """Whether a folder is empty, or has weights in it."""
    with writing(folder):
        names = [path.name for path in folder.iterdir()]
    return not names or any(name.endswith((SUFFIX, ".bin")) for name in names)


def _is_file(place: Path) -> bool:
    return place.suffix.lower() == SUFFIX


def _record_of(place: Path) -> Path:
    return place.with_suffix(f".{RECORD}")
