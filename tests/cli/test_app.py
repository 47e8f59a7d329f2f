from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import alnico
from alnico.cli import app as command_line
from alnico.cli.app import main
from alnico.errors import (
    AlnicoError,
    IncompatibleModelsError,
    MissingExtraError,
    OutputError,
    UnsafeFileError,
)

RUN = "import sys; from alnico.cli.app import main; sys.exit(main())"
EVENTS = "events log.csv --customer c --timestamp t --amount a --cutoff 2024-01-01 -o out.csv"


def in_a_process(*words: str, code: str = RUN) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a verb that meets an error in the midst of its work."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("alnico.cli.events.check_output", fail)
    return main(EVENTS.split())


def test_alone_it_shows_six_verbs_with_an_example_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out, err = capsys.readouterr()
    verbs = re.findall(r"^  (\w+) +alnico \1", out, flags=re.MULTILINE)
    assert verbs == ["demo", "fit", "report", "predict", "merge", "scan"]
    assert set(verbs) < set(command_line.typer.main.get_command(command_line.app).commands)
    assert max(map(len, out.splitlines())) <= 84 and err == ""


def test_it_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"alnico {alnico.__version__}\n"


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["events", "--help"]])
def test_help_goes_to_stdout_within_84_columns(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Usage: alnico") and err == ""
    assert max(map(len, out.splitlines())) <= 84


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = """
import sys
from alnico.cli.app import main
assert main(["--help"]) == 0
heavy = {"torch", "polars", "sklearn", "scipy", "numpy", "pandas", "rich"} & set(sys.modules)
assert not heavy, heavy
"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = in_a_process(code=code)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < 0.5


def test_a_misspelt_verb_points_to_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evnts"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "error[unknown-name]: there is no command 'evnts'\n  help: did you mean 'events'?\n"
    )


def test_a_misspelt_option_points_to_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "log.csv", "--custmer", "id"]) == 2
    assert capsys.readouterr().err == (
        "error[usage]: alnico events has no option '--custmer'\n"
        "  help: did you mean '--customer'?\n"
    )
    assert main(["--verison"]) == 2
    assert "did you mean '--version'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("events", "error[usage]: missing argument 'LOG'"),
        ("events log.csv", "error[usage]: missing option '--customer'"),
        (f"{EVENTS} more", "error[usage]: got unexpected extra argument(s) (more)"),
        (f"{EVENTS} --window", "error[usage]: option '--window' requires an argument"),
        (f"{EVENTS} --per dya", "invalid value for '--per': 'dya' is not one of 'day', 'event'"),
    ],
)
def test_wrong_usage_looks_like_every_other_error(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    lines = capsys.readouterr().err.splitlines()
    assert message in lines[0]
    assert lines[1:] == ["  help: alnico events --help"]


@pytest.mark.parametrize(
    ("error", "code", "block"),
    [
        (AlnicoError("a fault"), 2, "error[error]: a fault\n"),
        (
            OutputError("x is there", help="--force"),
            2,
            "error[output]: x is there\n  help: --force",
        ),
        (MissingExtraError("a\nb", help="1\n2"), 2, "a\nb\n  help: 1\n        2\n"),
        (IncompatibleModelsError("widths"), 3, "error[incompatible-models]: widths\n"),
        (UnsafeFileError("pickle"), 4, "error[unsafe-file]: pickle\n"),
    ],
)
def test_an_error_of_ours_is_a_block_and_its_own_exit_code(
    error: AlnicoError,
    code: int,
    block: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert raising(error, monkeypatch) == code
    out, err = capsys.readouterr()
    assert out == "" and block in err and "Traceback" not in err


def test_an_interrupt_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert raising(KeyboardInterrupt(), monkeypatch) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_verb_may_end_with_a_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert raising(command_line.typer.Exit(130), monkeypatch) == 130
    assert capsys.readouterr() == ("", "")


def test_a_fault_of_alnico_is_three_lines_and_a_saved_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert raising(ZeroDivisionError("division by zero"), monkeypatch) == 1
    lines = capsys.readouterr().err.splitlines()
    (report,) = tmp_path.iterdir()
    assert lines[0] == "error[fault]: ZeroDivisionError: division by zero"
    assert lines[1].endswith(f"its traceback was saved to {report}")
    assert lines[2].startswith("  help: send that file") and len(lines) == 3
    saved = report.read_text()
    assert saved.startswith(f"alnico {EVENTS}\n")
    assert "Traceback (most recent call last)" in saved and "\npolars " in saved


def test_a_report_that_cannot_be_saved_is_no_second_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    assert raising(RuntimeError(), monkeypatch) == 1
    assert "could not be saved; ALNICO_TRACEBACK=1 shows it" in capsys.readouterr().err


def test_a_traceback_is_shown_to_those_who_ask(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("ALNICO_TRACEBACK", "1")
        assert raising(AlnicoError("a fault"), patch) == 2
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err and err.endswith("error[error]: a fault\n")


@pytest.mark.skipif(os.name != "posix", reason="pipes as POSIX has them")
def test_a_reader_that_goes_away_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", RUN, "--help"], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_name_that_stdout_cannot_write_breaks_nothing() -> None:
    code = f"import typer; from alnico.cli import app; app._FIRST_SCREEN = '─'; {RUN}"
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "\\u2500\n", "")
