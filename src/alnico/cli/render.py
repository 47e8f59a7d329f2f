"""What a terminal shows: a line per finished phase, a bar for the one that runs, errors.

stdout carries a command's result; everything else, progress and the closing line too, is stderr's.
"""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from alnico import progress
from alnico.evaluation.drawing import WIDTH
from alnico.progress import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

Quiet: TypeAlias = Annotated[
    bool, typer.Option("--quiet", "-q", help="Show only the result and errors.")
]
"""The option of every verb that takes time."""

Verbose: TypeAlias = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show a line for each tensor.")
]
"""The option of verbs that go from tensor to tensor."""

_INDENT = 11  # two spaces, the phase's name in eight columns, one space
_LONGEST = 2000  # characters of a line; those of a path are fewer
_LONG = 5.0  # seconds; shorter pieces of a phase get no line of their own


def say(text: str, *, quiet: bool = False) -> None:
    """Write a line to stderr, such as the closing one that says where the result lies."""
    if not quiet:
        typer.echo(text, err=True)


def show_error(code: str, message: str, *, help: str | None = None) -> None:
    """Write an error's block to stderr: what is wrong, then what to do."""
    title = _styled(f"error[{code}]:", "red")
    typer.echo("\n".join([f"{title} {_harmless(message)}", *_help_lines(help)]), err=True)


@contextmanager
def show_progress(*, quiet: bool = False, verbose: bool = False) -> Iterator[None]:
    """Show on stderr what goes on in this block; bars only where stderr is a terminal.

    Args:
        quiet: Whether nothing is shown.
        verbose: Whether details are shown, too.
    """
    if quiet:
        yield
        return
    listener = Bars() if _is_terminal() else Lines()

    def hear(event: progress.Event) -> None:
        if verbose or event.what != "detail":
            listener(event)

    with progress.listen(hear):
        yield


class Lines:
    """A listener for files and pipes: a line per finished phase, and per tenth of a long one.

    Args:
        write: Where a line goes; stderr by default.
        clock: Seconds that have passed.
    """

    def __init__(
        self, write: Callable[[str], None] = say, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._clock = clock
        self._told: dict[int, tuple[int, float]] = {}  # phase -> tenths done, time of its last line

    def __call__(self, event: progress.Event) -> None:
        """Hear of an event."""
        phase = event.phase
        if event.what == "started":
            self._told[id(phase)] = (0, self._clock())
        elif event.what == "advanced":
            self._tell_tenth(phase)
        else:
            self._told.pop(id(phase), None)
            if event.what != "failed":
                self._write(_closing(event, WIDTH))

    def _tell_tenth(self, phase: progress.Phase) -> None:
        if not phase.total:
            return
        before, told = self._told[id(phase)]
        tenth = 10 * phase.done // phase.total
        if before < tenth < 10:
            now = self._clock()
            if now - told >= _LONG:
                told = now
                self._write(_phase_lines(phase.name, f"{10 * tenth} %  {phase.text}", WIDTH))
            self._told[id(phase)] = (tenth, told)


class Bars:
    """A listener for terminals: a bar for the innermost running phase, a line for each ended."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._console.width = min(WIDTH, self._console.width)
        self._progress: Progress | None = None
        self._running: list[tuple[progress.Phase, TaskID]] = []

    def __call__(self, event: progress.Event) -> None:
        """Hear of an event."""
        phase = event.phase
        if event.what == "started":
            self._start(phase)
        elif event.what == "advanced":
            self._advance(phase)
        elif event.what in ("finished", "failed"):
            self._stop(phase)
        if event.what in ("finished", "note", "detail", "warning"):
            from rich.text import Text

            line = Text.from_ansi(_closing(event, self._console.width))
            self._console.print(line, soft_wrap=True)

    def _start(self, phase: progress.Phase) -> None:
        if self._progress is None:
            self._progress = _new_bar(self._console)
            self._progress.start()
        for _, task in self._running:
            self._progress.update(task, visible=False)
        task = self._progress.add_task(
            phase.text, total=phase.total, name=phase.name, count=_count(phase)
        )
        self._running.append((phase, task))

    def _advance(self, phase: progress.Phase) -> None:
        for running, task in self._running:
            if running is phase and self._progress is not None:
                self._progress.update(
                    task, completed=phase.done, description=phase.text, count=_count(phase)
                )

    def _stop(self, phase: progress.Phase) -> None:
        assert self._progress is not None
        for running, task in self._running:
            if running is phase:
                self._progress.remove_task(task)
        self._running = [pair for pair in self._running if pair[0] is not phase]
        if self._running:
            self._progress.update(self._running[-1][1], visible=True)
        else:
            self._progress.stop()
            self._progress = None


def _new_bar(console: Console) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column as Cell

    text = Cell(ratio=1, no_wrap=True, overflow="ellipsis")
    return Progress(
        TextColumn("  {task.fields[name]:<8}", markup=False),
        TextColumn("{task.description}", markup=False, table_column=text),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[count]}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        expand=True,
        redirect_stdout=False,
    )


def _count(phase: progress.Phase) -> str:
    return f"{phase.done}/{phase.total}" if phase.total else ""


def _closing(event: progress.Event, width: int) -> str:
    """What stays of a finished phase, a note or a warning."""
    if event.what == "warning":
        title = _styled("warning:", "yellow")
        return "\n".join([f"{title} {_harmless(event.phase.text)}", *_help_lines(event.help)])
    return _phase_lines(event.phase.name, event.phase.text, width)


def _phase_lines(name: str, text: str, width: int) -> str:
    lines = textwrap.wrap(_harmless(text), max(20, width - _INDENT), break_on_hyphens=False) or [""]
    start = f"  {_styled(f'{name:<8}', 'cyan')} "
    return f"\n{' ' * _INDENT}".join([start + lines[0], *lines[1:]]).rstrip()


def _help_lines(help: str | None) -> list[str]:
    lines = _harmless(help or "").splitlines()
    return [f"  help: {line}" if i == 0 else f"        {line}" for i, line in enumerate(lines)]


def _harmless(text: str) -> str:
    """What a file may have put into a message cannot steer the terminal, or flood it."""
    lines = [
        line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"
        for line in text.split("\n")
    ]
    return "\n".join(map(printable, lines))


def _is_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _styled(text: str, colour: str) -> str:
    if _is_terminal() and not os.environ.get("NO_COLOR"):
        return typer.style(text, fg=colour)
    return text
