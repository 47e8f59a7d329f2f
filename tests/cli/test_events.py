from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import polars as pl
import pytest

from alnico.cli.app import main
from alnico.data.events import make_table

LOG = """\
who,when,paid,what
a,2024-01-05 10:00,10,tea
a,2024-02-01 11:00,20.5,cup
b,2024-02-20 12:00,5,tea
a,2024-03-03 13:00,7,tea
b,2024-05-30 14:00,9,cup
"""
COLUMNS = {"customer": "who", "timestamp": "when", "amount": "paid"}


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(LOG)
    return path


def words(
    log: Path, output: Path, *more: str, cutoffs: tuple[str, ...] = ("2024-03-01",)
) -> list[str]:
    columns = [word for role, name in COLUMNS.items() for word in (f"--{role}", name)]
    dates = [word for cutoff in cutoffs for word in ("--cutoff", cutoff)]
    return ["events", str(log), *columns, *dates, "--window", "30d", "-o", str(output), *more]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_the_table_is_that_of_the_library(suffix: str, log: Path, tmp_path: Path) -> None:
    output = tmp_path / f"table{suffix}"
    assert main(words(log, output, "--item", "what", "--per", "event")) == 0
    wanted = make_table(
        pl.read_csv(log), **COLUMNS, item="what", cutoffs=["2024-03-01"], window="30d", per="event"
    )
    if suffix == ".csv":
        assert output.read_text() == wanted.write_csv()
    else:
        assert pl.read_parquet(output).equals(wanted)
    assert names_in(tmp_path) == {"log.csv", output.name}


def test_stderr_tells_what_was_done_and_the_last_line_what_to_do_next(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "my table.parquet"
    cutoffs = ("2024-02-10", "2024-03-01", "2024-04-01")
    assert main(words(log, output, cutoffs=cutoffs)) == 0
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert "  events   5 events of 2 customers, 3 cut-offs" in lines
    assert "  table    5 rows, 24 features; 40.0 % buy" in lines
    assert lines[-2] == f"{output} holds the table.  Next:"
    assert shlex.split(lines[-1]) == [
        *("alnico", "fit", str(output), "--target", "buys"),
        *("--drop", "customer", "--drop", "amount", "--time-column", "cutoff"),
    ]


def test_with_few_cut_offs_the_next_command_splits_by_customer(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(log, tmp_path / "table.csv")) == 0
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith("--drop amount --drop cutoff --drop window_end --group customer")


def test_quiet_says_nothing(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(log, tmp_path / "table.csv", "-q")) == 0
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "table.csv").exists()


@pytest.mark.parametrize(
    ("more", "block"),
    [
        (["--customer", "whom"], r"error\[data\]: the log has no column 'whom' \(customer\)"),
        (["--cutoff", "2024-05-30"], "reaches past the log's end, 2024-05-30 14:00:00"),
        (["--cutoff", "2023-12-24"], "nobody was seen before 2023-12-24"),
        (["--cutoff", "soon"], "'soon' is no date"),
        (["--window", "3mo"], "window: cannot read '3mo'"),
        (["--amount", "what"], "what: amounts must be numbers, got String"),
        (["-o", "table.xlsx"], r"error\[output\]: table.xlsx: a table ends in"),
    ],
)
def test_bad_input_is_one_message_and_nothing_is_written(
    more: list[str],
    block: str,
    log: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(words(log, tmp_path / "table.csv", *more)) == 2
    out, err = capsys.readouterr()
    assert out == "" and re.search(block, err) and "\n  help: " in err
    assert names_in(tmp_path) == {"log.csv"}


def test_outputs_are_not_replaced_unasked_and_inputs_never(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "table.csv"
    output.write_text("mine")
    assert main(words(log, output)) == 2
    assert "is there already" in capsys.readouterr().err and output.read_text() == "mine"
    assert main(words(log, log, "--force")) == 2
    assert "is the input itself" in capsys.readouterr().err and log.read_text() == LOG
    assert main(words(log, output, "--force")) == 0
    assert output.read_text().startswith("customer,cutoff,window_end,")


def test_a_missing_log_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(tmp_path / "lgo.csv", tmp_path / "table.csv")) == 2
    assert "lgo.csv" in capsys.readouterr().err
    assert names_in(tmp_path) == set()


def test_an_interrupt_leaves_nothing_behind(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    assert main(words(log, tmp_path / "table.csv")) == 130
    assert names_in(tmp_path) == {"log.csv"}
