from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from alnico import progress
from alnico.cli.render import Lines, say, show_error, show_progress

LONG = "41 188 rows, " + "and some more words that go on " * 4


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@contextmanager
def on_a_terminal(**environment: str) -> Iterator[Terminal]:
    screen = Terminal()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
            patch.delenv(name, raising=False)
        for name, value in {"TERM": "xterm", "COLUMNS": "120", **environment}.items():
            patch.setenv(name, value)
        patch.setattr(sys, "stderr", screen)
        yield screen


def seen(screen: Terminal) -> list[str]:
    """The lines of a terminal without colours and cursor movements."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    return [line.split("\r")[-1].rstrip() for line in text.split("\n")]


def work() -> None:
    with progress.phase("table", "reading") as phase:
        phase.say(LONG)
    progress.note("split", "60 / 20 / 20 by class, seed 0")
    with progress.phase("train", "members", total=2) as phase:
        for part in range(2):
            with progress.phase("mlp", f"[bold]epoch {part}") as inner:
                inner.advance(text="step")
                inner.say(f"part {part}")
            phase.advance(text=f"{part + 1} members")
    progress.warn("a column is odd", help="drop it\nor keep it")


WHAT_STAYS = """\
  table    41 188 rows, and some more words that go on and some more words that go
           on and some more words that go on and some more words that go on
  split    60 / 20 / 20 by class, seed 0
  mlp      part 0
  mlp      part 1
  train    2 members
warning: a column is odd
  help: drop it
        or keep it
"""


def test_without_a_terminal_there_is_a_line_per_finished_phase(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with show_progress():
        work()
    assert capsys.readouterr() == ("", WHAT_STAYS)


def test_a_terminal_keeps_the_same_lines() -> None:
    with on_a_terminal() as screen, show_progress():
        work()
    assert [line for line in seen(screen) if line] == WHAT_STAYS.splitlines()
    assert "\x1b[33mwarning:\x1b[0m a column is odd" in screen.getvalue()


def test_a_terminal_shows_one_bar_within_84_columns_and_takes_it_away() -> None:
    with on_a_terminal() as screen, show_progress(), progress.phase("fit", "x" * 90, total=4) as w:
        with progress.phase("mlp", "[red]inner"):
            pass
        w.advance()
    frames = re.split(r"[\r\n]", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()))
    bars = [frame for frame in frames if "0:00:0" in frame]
    assert bars and max(map(len, bars)) <= 84
    assert any(re.match(r"  fit      x+… ━+ 0/4 0:00:0", bar) for bar in bars)
    assert not any("mlp" in bar and "fit" in bar for bar in bars)
    assert seen(screen)[-1] == "" and "\x1b[?25h" in screen.getvalue()  # the cursor is back


def test_a_failed_phase_leaves_no_bar_and_no_line() -> None:
    with (
        on_a_terminal() as screen,
        pytest.raises(KeyError),
        show_progress(),
        progress.phase("fit", "members", total=3),
        progress.phase("mlp", "epoch"),
    ):
        raise KeyError
    assert [line for line in seen(screen) if line] == []
    assert screen.getvalue().rfind("\x1b[?25h") > screen.getvalue().rfind("\x1b[?25l")


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colour_is_left_out_where_it_is_not_wanted(environment: dict[str, str]) -> None:
    with on_a_terminal(**environment) as screen:
        with show_progress():
            work()
        show_error("data", "a fault")
    colours = re.findall(r"\x1b\[[0-9;]+m", screen.getvalue())
    assert set(colours) <= {"\x1b[0m"}
    assert "a fault" in screen.getvalue() and "part 1" in screen.getvalue()


def test_quiet_shows_nothing_of_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress(quiet=True):
        work()
    say("holds the model", quiet=True)
    assert capsys.readouterr() == ("", "")


def test_details_are_shown_only_where_they_are_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for verbose in (False, True):
        with show_progress(verbose=verbose):
            progress.detail("merge", "fc.weight")
        shown = capsys.readouterr().err
        assert shown == ("  merge    fc.weight\n" if verbose else "")
    with on_a_terminal() as screen, show_progress(verbose=True):
        progress.detail("merge", "fc.weight")
    assert "  merge    fc.weight" in seen(screen)


def test_nothing_is_heard_after_the_block(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress():
        pass
    work()
    say("the end")
    assert capsys.readouterr() == ("", "the end\n")


def tenths(n_steps: int, *, seconds_a_step: float, total: int | None) -> list[str]:
    lines: list[str] = []
    now = 0.0
    listener = Lines(lines.append, clock=lambda: now)
    with progress.listen(listener), progress.phase("train", "start", total=total) as phase:
        for step in range(n_steps):
            now += seconds_a_step
            phase.advance(text=f"step {step + 1}")
    return lines


def test_a_long_phase_has_a_line_per_tenth() -> None:
    wanted = [f"  train    {10 * i} %  step {4 * i}" for i in range(1, 10)]
    assert tenths(40, seconds_a_step=2.0, total=40) == [*wanted, "  train    step 40"]


def test_a_quick_phase_or_one_of_unknown_length_has_only_its_last_line() -> None:
    assert tenths(40, seconds_a_step=0.01, total=40) == ["  train    step 40"]
    assert tenths(40, seconds_a_step=9.0, total=None) == ["  train    step 40"]


def test_lines_of_tenths_are_seconds_apart() -> None:
    assert tenths(20, seconds_a_step=1.0, total=20) == [
        "  train    30 %  step 6",
        "  train    60 %  step 12",
        "  train    90 %  step 18",
        "  train    step 20",
    ]


def test_an_error_is_a_block_with_its_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    show_error("data", "y is constant", help="choose another target\nor other rows")
    show_error("data", "nothing to add")
    assert capsys.readouterr().err == (
        "error[data]: y is constant\n  help: choose another target\n        or other rows\n"
        "error[data]: nothing to add\n"
    )


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals as POSIX has them")
def test_a_real_terminal_shows_a_bar_on_stderr_and_leaves_stdout_alone() -> None:
    import pty

    code = """
from alnico import progress
from alnico.cli.render import show_progress
with show_progress(), progress.phase("fit", "members", total=2) as work:
    work.advance()
    work.say("2 members")
print("the result")
"""
    screen, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=terminal, env=environment
    )
    os.close(terminal)
    shown = os.read(screen, 100_000).decode()
    os.close(screen)
    assert done.stdout == b"the result\n"
    assert "members" in shown and "━" in shown and "2 members" in shown
