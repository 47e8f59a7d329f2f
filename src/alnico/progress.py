"""What is going on, as events. The library tells; who wants to draw listens. Silent by default.

with phase("train", "mlp x4", total=20) as work:
    work.advance()
    work.say("8 members in 3 s")     # the line that stays when the phase is over
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol


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
        _listener.get().advanced(self)

    def say(self, text: str) -> None:
        """Set the line that stays when the phase is over."""
        self.text = text


class Listener(Protocol):
    """Who is told; a phase starts, advances, and finishes or fails."""

    def started(self, phase: Phase) -> None: ...
    def advanced(self, phase: Phase) -> None: ...
    def finished(self, phase: Phase) -> None: ...
    def failed(self, phase: Phase) -> None: ...
    def noted(self, name: str, text: str) -> None: ...
    def warned(self, text: str, help: str | None) -> None: ...


class _Silent:
    """The default listener: hears nothing."""

    def started(self, phase: Phase) -> None: ...
    def advanced(self, phase: Phase) -> None: ...
    def finished(self, phase: Phase) -> None: ...
    def failed(self, phase: Phase) -> None: ...
    def noted(self, name: str, text: str) -> None: ...
    def warned(self, text: str, help: str | None) -> None: ...


_listener: ContextVar[Listener] = ContextVar("alnico_progress_listener", default=_Silent())


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
    listener = _listener.get()
    listener.started(work)
    try:
        yield work
    except BaseException:
        listener.failed(work)
        raise
    listener.finished(work)


def note(name: str, text: str) -> None:
    """Tell one finished fact, e.g. `note("split", "60 / 20 / 20 by class, seed 0")`."""
    _listener.get().noted(name, text)


def warn(text: str, *, help: str | None = None) -> None:
    """Tell something that was carried on with and that the user may regret."""
    _listener.get().warned(text, help)
