from __future__ import annotations

import contextvars
from contextlib import nullcontext
from threading import Thread

import pytest

from alnico.progress import Event, compact, detail, listen, note, phase, sized, warn


def told(events: list[tuple], event: Event) -> None:
    events.append((event.what, event.phase.name, event.phase.text, event.phase.done))


def test_a_phase_tells_its_start_its_steps_and_its_end() -> None:
    events: list[tuple] = []
    with listen(lambda event: told(events, event)), phase("train", "8 members", total=3) as work:
        work.advance()
        work.advance(2, text="epoch 3")
        work.say("8 members in 3 s")
    assert work.total == 3
    assert events == [
        ("started", "train", "8 members", 0),
        ("advanced", "train", "8 members", 1),
        ("advanced", "train", "epoch 3", 3),
        ("finished", "train", "8 members in 3 s", 3),
    ]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_phase_that_fails_says_so_and_lets_the_error_pass(error: type[BaseException]) -> None:
    events: list[tuple] = []
    with pytest.raises(error), listen(lambda event: told(events, event)), phase("read"):
        raise error
    assert [event[0] for event in events] == ["started", "failed"]


def test_phases_nest() -> None:
    events: list[tuple] = []
    with listen(lambda event: told(events, event)), phase("fit"), phase("train"):
        pass
    assert [event[:2] for event in events] == [
        ("started", "fit"),
        ("started", "train"),
        ("finished", "train"),
        ("finished", "fit"),
    ]


def test_notes_and_warnings_are_told_at_once() -> None:
    events: list[Event] = []
    with listen(events.append):
        note("split", "60 / 20 / 20 by class, seed 0")
        warn("2 columns were dropped", help="--keep-all")
    first, second = events
    assert (first.what, first.phase.name, first.help) == ("note", "split", None)
    assert first.phase.text == "60 / 20 / 20 by class, seed 0"
    assert (second.what, second.phase.text, second.help) == (
        "warning",
        "2 columns were dropped",
        "--keep-all",
    )


@pytest.mark.parametrize("listening", [True, False])
def test_nobody_has_to_listen(listening: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with listen(lambda event: None) if listening else nullcontext(), phase("train") as work:
        work.advance()
        note("split", "said")
    assert capsys.readouterr() == ("", "")


def test_the_inner_listener_hears_its_block_alone() -> None:
    outer: list[Event] = []
    inner: list[Event] = []
    with listen(outer.append):
        with listen(inner.append):
            note("a", "inner")
        note("b", "outer")
    note("c", "nobody")
    assert [event.phase.name for event in inner] == ["a"]
    assert [event.phase.name for event in outer] == ["b"]


def test_another_thread_is_not_overheard() -> None:
    events: list[Event] = []
    with listen(events.append):
        thread = Thread(target=note, args=("elsewhere", "said"))
        thread.start()
        thread.join()
    assert events == []


def test_a_warning_that_nobody_hears_becomes_a_python_warning() -> None:
    def unheard() -> None:
        with pytest.warns(UserWarning, match=r"^column 'a' leaks \(--drop 'a'\)$"):
            warn("column 'a' leaks", help="--drop 'a'")
        with pytest.warns(UserWarning, match="^no help$"):
            warn("no help")

    contextvars.Context().run(unheard)


def test_a_detail_is_an_event_of_its_own() -> None:
    events: list[Event] = []
    with listen(events.append):
        detail("merge", "fc.weight")
    ((what, phase),) = [(event.what, event.phase) for event in events]
    assert (what, phase.name, phase.text) == ("detail", "merge", "fc.weight")


@pytest.mark.parametrize(
    ("number", "size", "count"),
    [
        (0, "0 B", "0"),
        (999, "999 B", "999"),
        (999_499, "999 kB", "999 k"),
        (999_500, "1 MB", "1 M"),
        (86_567_656, "86.6 MB", "86.6 M"),
        (3_674_793_216, "3.67 GB", "3.67 G"),
        (5 * 10**18, "5e+03 PB", "5e+03 P"),
    ],
)
def test_sizes_and_counts_are_shown_in_three_digits(number: int, size: str, count: str) -> None:
    assert (sized(number), compact(number)) == (size, count)
