from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from alnico.cli.output import check_output, write_table
from alnico.errors import OutputError

TABLE = pl.DataFrame({"a": [1, 2, None], "b": ["x", "y, z", None]})


def check(path: Path, *, inputs: list[Path] | None = None, force: bool = False) -> None:
    check_output(path, inputs=inputs or [], force=force)


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "out.CSV"])
def test_a_table_comes_back_as_it_was_written(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    check(path)
    write_table(TABLE, path)
    read = pl.read_parquet if name.endswith("parquet") else pl.read_csv
    assert read(path).equals(TABLE)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_another_format_is_refused_with_a_name_that_works(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"ends in \.parquet or \.csv\n  help: -o .*/out.parquet"):
        check(tmp_path / "out.xlsx")


def test_what_is_there_stays_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(OutputError, match=r"is there already\n  help: --force"):
        check(path)
    check(path, force=True)
    write_table(TABLE, path)
    assert path.read_text().startswith("a,b\n1,x")


def test_the_input_is_never_overwritten_by_whatever_name(tmp_path: Path) -> None:
    source, link = tmp_path / "log.csv", tmp_path / "link.csv"
    source.write_text("a\n1\n")
    link.symlink_to(source)
    for path in (source, link, tmp_path / "." / "log.csv"):
        with pytest.raises(OutputError, match="is the input itself"):
            check(path, inputs=[source], force=True)


def test_a_folder_is_no_place_for_a_table(tmp_path: Path) -> None:
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check(tmp_path / "out.csv", force=True)
    with pytest.raises(OutputError, match=r"there is no folder .*nowhere\n  help: mkdir -p"):
        check(tmp_path / "nowhere" / "out.csv")


def test_a_folder_that_may_not_be_written_to_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match="may not be written to"):
        check(tmp_path / "out.csv")


def test_a_write_that_fails_leaves_the_old_table_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "out.parquet"
    write_table(TABLE.head(1), path)
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OutputError, match=r"cannot be written: No space left on device"):
        write_table(TABLE, path)
    assert list(tmp_path.iterdir()) == [path]
    assert pl.read_parquet(path).height == 1
