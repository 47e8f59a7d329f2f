"""The models of a recipe, opened: each once, all faults at once, closed at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from alnico.checkpoint.files import sha256
from alnico.checkpoint.opened import Checkpoint, open_checkpoint
from alnico.checkpoint.submodule import Submodule
from alnico.errors import AlnicoError, DataError
from alnico.merging.files import counted
from alnico.progress import phase
from alnico.recipe.parts import Source


@contextmanager
def opening(
    sources: Iterable[Source | str],
    *,
    has_base: bool = False,
    here: Mapping[str, Path] | None = None,
) -> Iterator[dict[str, Checkpoint]]:
    """Open models for a block of code.

    Args:
        sources: The models: where each is, or what `open_checkpoint` takes.
        has_base: Whether the last is a base, as progress calls it.
        here: Names on the hub -> folders in which these models are already.

    Yields:
        The label of each, or what it was given by -> the model, or the part of it that is seen.

    Raises:
        AlnicoError: As `open_checkpoint` does, for all models that cannot be opened at once.
    """
    with ExitStack() as stack:
        found: dict[str, Checkpoint] = {}
        wholes: dict[str, Checkpoint] = {}
        faults: list[AlnicoError] = []
        with phase("read", "headers") as work:
            asked = [Source(each, None) if isinstance(each, str) else each for each in sources]
            for place in dict.fromkeys(source.reference for source in asked):
                try:
                    known = (here or {}).get(place, place)
                    wholes[place] = stack.enter_context(open_checkpoint(known))
                    wholes[place].path = place
                except AlnicoError as error:
                    faults.append(error)
            for source in dict.fromkeys(asked):
                try:
                    if source.reference in wholes:
                        found[source.label] = _part(wholes[source.reference], source)
                except AlnicoError as error:
                    faults.append(error)
            check_faults(faults, title="models cannot be read")
            work.say(counted(list(found.values()), has_base=has_base))
        yield found


def _part(whole: Checkpoint, source: Source) -> Checkpoint:
    return whole if source.part is None else Submodule(whole, source.part)


def check_faults(faults: Sequence[AlnicoError], *, title: str) -> None:
    """Go on only if there is no fault; several are told as one, of the gravest kind.

    Args:
        faults: What went wrong.
        title: What messages call several of them, behind their number.

    Raises:
        AlnicoError: If there is one.
    """
    if not faults:
        return
    worst = max(faults, key=lambda fault: fault.exit_code)
    if len(faults) == 1:
        raise worst
    lines = [f"{len(faults)} {title}", *(fault.message.replace("\n", "\n  ") for fault in faults)]
    ways = dict.fromkeys(fault.help for fault in faults if fault.help)
    raise type(worst)("\n  ".join(lines), help="\n".join(ways) or None)


def check_pins(sources: Mapping[str, Source], models: Mapping[str, Checkpoint]) -> None:
    """See that models are the files that a recipe pins by their digests.

    Args:
        sources: Name -> where a model is, and what its digest must be.
        models: Its place -> the model.

    Raises:
        DataError: With every model that is another.
    """
    faults: list[AlnicoError] = []
    for name, source in sources.items():
        if source.sha256 is None:
            continue
        (file,) = models[source.label].files
        with phase("check", f"sha256 of {name}"):
            found = sha256(file)
        if found != source.sha256:
            faults.append(
                DataError(
                    f"{source.text} is not the file of the recipe, where {name} has the sha256 "
                    f"{source.sha256[:16]}...: it has {found[:16]}...",
                    help="get that file; or, if this one is meant, correct the recipe",
                )
            )
    check_faults(faults, title="models are other files")
