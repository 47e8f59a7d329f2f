"""What is going on, as events. The library tells; who wants to draw listens. Silent by default.

with phase("train", "mlp x4", total=20) as work:
    work.advance()
    work.say("8 members in 3 s")     # the line that stays when the phase is over
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass
class Phase:
    """A piece of work under way.

    Args:
        name: One word, e.g. `train`.
        text: What is done; when the phase ends, what was done.
        total: How many steps it takes, if known.
        done: Steps so far.
    """

    name: str
    text: str
    total: int | None = None
    done: int = 0

    def advance(self, steps: int = 1, *, text: str | None = None) -> None:
        """Tell that `steps` more are done, and optionally what is done now."""
        self.done += steps
        self.text = self.text if text is None else text
        _tell(Event("advanced", self))

    def say(self, text: str) -> None:
        """Set the line that stays when the phase is over."""
        self.text = text


@dataclass(frozen=True)
class Event:
    """Something that a listener is told.

    Args:
        what: A phase that `started`, `advanced`, `finished` or `failed`; a `note` is a fact without
            duration, a `detail` one that few want to know; a `warning` is something carried on
            with that the user may regret.
        phase: The phase, or the name and text of the note or warning.
        help: A warning's way out.
    """

    what: Literal["started", "advanced", "finished", "failed", "note", "detail", "warning"]
    phase: Phase
    help: str | None = None


Listener: TypeAlias = Callable[[Event], None]

_listener: ContextVar[Listener | None] = ContextVar("alnico_progress_listener", default=None)


def _tell(event: Event) -> None:
    listener = _listener.get()
    if listener is not None:
        listener(event)


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Send the events of this block to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def phase(name: str, text: str = "", *, total: int | None = None) -> Iterator[Phase]:
    """Tell that a piece of work starts, and at the end of the block that it is over."""
    work = Phase(name, text, total)
    _tell(Event("started", work))
    try:
        yield work
    except BaseException:
        _tell(Event("failed", work))
        raise
    _tell(Event("finished", work))


def note(name: str, text: str) -> None:
    """Tell one finished fact, e.g. `note("split", "60 / 20 / 20 by class, seed 0")`."""
    _tell(Event("note", Phase(name, text)))


def detail(name: str, text: str) -> None:
    """Tell one finished fact among many alike, such as what became of a tensor."""
    _tell(Event("detail", Phase(name, text)))


def warn(text: str, *, help: str | None = None) -> None:
    """Tell something that was carried on with and that the user may regret.

    Without a listener it becomes a Python warning: it must not go unheard.
    """
    if _listener.get() is None:
        warnings.warn(text if help is None else f"{text} ({help})", stacklevel=3)
    _tell(Event("warning", Phase("warning", text), help))


def printable(text: str) -> str:
    """Text from a file, or a file's name, written so that it cannot steer a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def spaced(number: int) -> str:
    """A count as it is shown: `41188` -> `41 188`."""
    return f"{number:_}".replace("_", " ")


def sized(n_bytes: int) -> str:
    """Bytes as they are shown, in thousands: `346000000` -> `346 MB`."""
    return _scaled(n_bytes, ("B", "kB", "MB", "GB", "TB", "PB"))


def compact(number: int) -> str:
    """A count in three digits: `86567656` -> `86.6 M`."""
    return _scaled(number, ("", "k", "M", "G", "T", "P"))


def _scaled(number: int, units: tuple[str, ...]) -> str:
    size, *larger = units
    scaled = float(number)
    while scaled >= 999.5 and larger:
        scaled, (size, *larger) = scaled / 1000, larger
    return f"{scaled:.3g} {size}".rstrip()
