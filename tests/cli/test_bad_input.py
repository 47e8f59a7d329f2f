"""Every bad input is refused with what, where and what to do, and leaves all files as they were."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

Refused = Callable[..., str]

TEXTS = {
    "empty": ("", r"empty\.csv is empty\n  help: give a CSV or Parquet file with rows"),
    "header": ("a,buys\n", r"header\.csv has column names but no rows\n  help: was it cut off"),
    "one row": ("a,buys\n1,2\n", r"a single row\n  help: there is nothing to learn"),
    "twice": ("a,a,buys\n1,2,3\n", r"columns with the same name: 'a' \(2 times\)\n  help: rename"),
    "colons": ("a:buys\n1:2\n3:4\n", r"a single column, 'a:buys', that looks like 2\n  help: sep"),
    "other separator": ("a;b;buys\n1,2,3\n", r"line 2: 1 value where the header has 3\n  help: va"),
    "ragged": (
        "a,b,buys\n1,2,3\n4,5\n",
        r"line 3: 2 values where the header has 3\n  help: values",
    ),
    "binary": ("a\0b", r"binary\.csv is not a text table\n  help: give a CSV or Parquet file"),
    "no parquet.parquet": ("a,buys\n1,2\n", r"is not a Parquet file\n  help: get the file again"),
    "cut.parquet": ("PAR1", r"is a damaged Parquet file: .*\n  help: get the file again"),
}


def changed(frame: pl.DataFrame, **columns: object) -> pl.DataFrame:
    return frame.with_columns(**columns)


COLUMNS: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], str]] = {
    "absent": (
        lambda t: t.rename({"buys": "buy"}),
        r"no column 'buys' to predict\n  help: did you mean 'buy'\?",
    ),
    "absent and unlike": (
        lambda t: t.drop("buys"),
        r"no column 'buys' to predict\n  help: its columns are visits, spent",
    ),
    "constant": (
        lambda t: changed(t, buys=pl.lit("no")),
        "buys is constant: 240 rows, all no\n  help: there is nothing to learn; choose another",
    ),
    "missing in some rows": (
        lambda t: changed(t, buys=pl.when(pl.col("visits") > 1).then("buys")),
        r"buys is missing in \d+ of 240 rows\n  help: leave these rows out",
    ),
    "a class of one example": (
        lambda t: changed(t, buys=pl.Series([True] + [False] * 239)),
        r"classes with fewer than 5 rows: 'true' \(1\)\n  help: .*leave these rows out, or join",
    ),
    "five rows": (
        lambda t: t.head(5).with_columns(buys=pl.int_range(5) * 1.5),
        r"the validation part has a single row.*\n  help: give more rows",
    ),
    "eight rows": (
        lambda t: t.head(8).with_columns(buys=pl.int_range(8) * 1.5),
        r"the test part has a single row.*\n  help: give more rows",
    ),
    "infinite": (
        lambda t: changed(t, spent=pl.when(pl.col("visits") > 1).then("spent").otherwise(np.inf)),
        r"bad\.csv: infinite values in 'spent' \(\d+\)\n  help: put a number in their place",
    ),
    "nothing but the target": (
        lambda t: t.select("buys"),
        "no column is left to predict 'buys'\n  help: add columns",
    ),
}

OPTIONS = {
    "--time-limit 0": "time limit must be positive, got 0 s\n  help: leave it out",
    "--time-limit soon": "'soon' is not a duration\n  help: write it as 90s, 5m or 1.5h",
    "--time-limit=-5m": "'-5m' is not a duration\n  help: write it as",
    "--time-limit 0.01": "0.01 s is too short to train one member\n  help: give a longer",
    "--metric rocauc": "no metric 'rocauc'\n  help: did you mean 'roc_auc'",
    "--metric rmse": "rmse does not score a binary task\n  help: choose one of log_loss, roc_auc",
    "--optimiser adamm": "no optimiser 'adamm'\n  help: did you mean 'adam'",
    "--architecture mpl": "no architecture 'mpl'\n  help: did you mean 'mlp'",
    "--kind stakking": "no kind 'stakking'\n  help: did you mean 'stacking'",
    "--task regresion": "no task 'regresion'\n  help: did you mean 'regression'",
    "--task regression": "buys is String and not a number, e.g. '(no|yes)'\n  help: --task auto",
    "--task multiclass": "buys has 2 values, multiclass needs more\n  help: --task binary",
    "--positive yess": "buys has no class 'yess'\n  help: did you mean 'yes'",
    "--seed=-1": "seed must be a whole number .*, got -1\n  help: any",
    "--seed one": "invalid value for '--seed'.*\n  help: alnico fit --help",
    "--drop vists": "no column 'vists'\n  help: did you mean 'visits'",
    "--drop buys": "'buys' is the target and no feature\n  help: leave it out",
    "--text country --category country": "cannot be both text and category\n  help: choose one",
    "--drop country --text country": r"left out \(as asked\) and read as text\n  help: ask for one",
    "--group member --time-column since": "groups together.*\n  help: choose one of --group",
    "--group member": r"member has too few values \(2\).*\n  help: name a column of more groups",
    "--group country": r"country is missing in \d+ rows\n  help: leave these rows out",
    "--time-column sinse": "no column 'sinse'\n  help: did you mean 'since'",
    "--time-column country": r"country is missing in \d+ rows\n  help: leave these rows",
    "--window-end since": "needs a time column\n  help: name it: --time-column",
    "--together sharde": "no scheme 'sharde' of training together\n  help: did you mean 'shared'",
    "--trials -1": "trials must be a whole number from 0, got -1\n  help: 0 is no search; each",
    "--trials many": "invalid value for '--trials'.*\n  help: alnico fit --help",
    "--start-from nowhere": "nowhere is not there\n  help: a run folder is what `alnico fit`",
    "--targte y": "alnico fit has no option '--targte'\n  help: did you mean '--target'",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_that_is_no_table_is_refused(name: str, refused: Refused, tmp_path: Path) -> None:
    text, message = TEXTS[name]
    path = tmp_path / (name if "." in name else f"{name}.csv")
    path.write_text(text)
    assert re.search(message, refused("fit", path, "--target", "buys", "-o", tmp_path / "run"))


def test_a_file_that_is_missing_or_cut_is_refused(
    refused: Refused, tmp_path: Path, table: Path
) -> None:
    out = ("--target", "buys", "-o", tmp_path / "run")
    message = refused("fit", table.parent / "shopp.csv", *out)
    assert re.search(r"no file '.*shopp\.csv'\n  help: did you mean 'shop\.csv'", message)
    assert "no folder 'nowhere'\n  help: check" in refused("fit", "nowhere/shop.csv", *out)
    assert "is a folder\n  help: name the CSV" in refused("fit", tmp_path, *out)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(table.read_bytes())[:500])
    message = refused("fit", tmp_path / "cut.csv.gz", *out)
    assert "is damaged and cannot be unpacked" in message and "get the file again" in message


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_that_cannot_be_used_is_refused(
    name: str, refused: Refused, tmp_path: Path, frame: pl.DataFrame
) -> None:
    change, message = COLUMNS[name]
    change(frame).write_csv(tmp_path / "bad.csv")
    block = refused("fit", tmp_path / "bad.csv", "--target", "buys", "-o", tmp_path / "run")
    assert re.search(message, block), block


@pytest.mark.parametrize("words", OPTIONS)
def test_an_option_that_cannot_be_met_is_refused(
    words: str, refused: Refused, table: Path, tmp_path: Path
) -> None:
    block = refused("fit", table, "--target", "buys", "-o", tmp_path / "run", *words.split())
    assert re.search(OPTIONS[words], block), block


EARLIER: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], str, str]] = {
    "a column is missing": (
        lambda t: t.drop("since", "visits"),
        "",
        r"was fitted on: it lacks 'visits', 'since'\n  help: add them, or fit without --start-from",
    ),
    "a column is new": (
        lambda t: changed(t, clicks=1),
        "",
        r"was fitted on: 'clicks' is new\n  help: leave out new columns with --drop, or fit",
    ),
    "a column has another name": (
        lambda t: t.rename({"visits": "visit"}),
        "",
        r"lacks 'visits'; 'visit' is new\n  help: was 'visit' called 'visits' then\? Rename it",
    ),
    "a column of another type": (
        lambda t: changed(t, spent=pl.lit("a lot")),
        "",
        r"'spent' is a number .*row 1 has 'a lot'",
    ),
    "a class is new": (
        lambda t: changed(t, buys=pl.lit("perhaps")),
        "",
        r"no class in training: 'perhaps'\n  help: the classes are 'no', 'yes'",
    ),
    "another target": (
        lambda t: t,
        "--target member",
        r"run predicts 'buys', not 'member'\n  help: --target 'buys', or fit without --start-from",
    ),
    "a column is left out": (
        lambda t: t,
        "--drop visits",
        r"run reads the columns 'visits', which are to be dropped\n  help: fit without",
    ),
}


@pytest.mark.parametrize("name", EARLIER)
def test_a_table_that_is_not_like_that_of_the_run_to_start_from_is_refused(
    name: str, refused: Refused, finished: Path, frame: pl.DataFrame, tmp_path: Path
) -> None:
    change, words, message = EARLIER[name]
    table = tmp_path / "next.csv"
    change(frame).write_csv(table)
    out = ("-o", tmp_path / "run", "--start-from", finished)
    block = refused("fit", table, "--target", "buys", *out, *words.split())
    assert re.search(message, block), block


def test_rows_that_the_run_to_start_from_has_seen_cannot_judge_it(
    refused: Refused, finished: Path, frame: pl.DataFrame, tmp_path: Path
) -> None:
    judges = load_file(finished / "predictions.safetensors")
    new = {*judges["valid.index"].tolist(), *judges["test.index"].tolist()}
    table = tmp_path / "seen.csv"
    frame[[i for i in range(240) if i not in new]].write_csv(table)
    block = refused(
        *("fit", table, "--target", "buys", "-o", tmp_path / "run", "--start-from", finished)
    )
    assert re.search(r"was trained on (\d+) of the \1 rows of the validation part: too few", block)
    assert "help: give rows that are new to it, or the same table with the --seed" in block


def test_a_run_to_start_from_that_is_none_or_was_changed_is_refused(
    refused: Refused, table: Path, run: Path, tmp_path: Path
) -> None:
    fit = ("fit", table, "--target", "buys", "-o")
    onto_itself = refused(*fit, run, "--start-from", run, "--force")
    assert f"{run} is the run to start from\n  help: choose another -o" in onto_itself
    start = ("--start-from", run)
    whole = (run / "members.safetensors").read_bytes()
    (run / "members.safetensors").write_bytes(whole[:-9] + b"123456789")
    assert "members.safetensors was changed" in refused(*fit, tmp_path / "new", *start)
    (run / "members.safetensors").unlink()
    assert "members.safetensors is missing" in refused(*fit, tmp_path / "new", *start)
    (run / "run.json").unlink()
    assert "is not a run folder: no run.json" in refused(*fit, tmp_path / "new", *start)


def test_what_is_missing_altogether_is_asked_for(
    refused: Refused, table: Path, tmp_path: Path
) -> None:
    assert "which column is to be predicted?\n  help: --target COLUMN" in refused("fit", table)
    assert "no command 'fti'\n  help: did you mean 'fit'" in refused("fti", table)
    words = ("--target", "buys", "-o", tmp_path / "run", "--architecture", "text_gru")
    message = refused("fit", table, *words)
    assert "none of the architectures text_gru can read this table" in message
    assert "these can: mlp, resnet" in message


def test_a_run_is_written_only_where_it_may_be(
    refused: Refused, table: Path, run: Path, tmp_path: Path
) -> None:
    fit = ("fit", table, "--target", "buys", "-o")
    copy = tmp_path / "shop.csv"
    copy.write_bytes(table.read_bytes())
    assert "is there already\n  help: choose another -o, or --force" in refused(*fit, run)
    onto_itself = ("fit", copy, "--target", "buys", "-o", copy, "--force")
    assert "is not a run folder, so it is not replaced" in refused(*onto_itself)
    assert "is not a run folder, so it is not replaced" in refused(*fit, tmp_path, "--force")
    assert f"{copy} is not a folder\n  help: choose another" in refused(*fit, copy / "run")
    assert "make it first: mkdir -p" in refused(*fit, tmp_path / "deep" / "run")
    assert ". cannot be an output\n  help: give it a name" in refused(*fit, ".")
    (tmp_path / "mine.partial").mkdir()
    message = refused(*fit, tmp_path / "mine", "--force")
    assert "mine.partial is there already and is not an unfinished run" in message


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a folder that nobody may write to")
def test_a_folder_that_cannot_be_written_to_is_named(
    refused: Refused, table: Path, finished: Path
) -> None:
    block = refused("fit", table, "--target", "buys", "-o", "/proc/run")
    assert re.search("/proc/run.* cannot be (made|written).*\n  help: choose another -o", block)
    block = refused("predict", finished, table, "-o", "/proc/out.csv")
    assert re.search("/proc.*(cannot|may not) be written.*\n  help: .*with -o", block)


def test_predictions_are_written_only_where_they_may_be(
    refused: Refused, finished: Path, frame: pl.DataFrame, tmp_path: Path
) -> None:
    new, there = tmp_path / "new.csv", tmp_path / "there.csv"
    frame.write_csv(new)
    there.write_text("dear")
    predict = ("predict", finished, new, "-o")
    assert "is there already\n  help: --force" in refused(*predict, there)
    assert "is the input itself\n  help: give" in refused(*predict, new, "--force")
    assert "ends in .parquet or .csv\n  help: -o" in refused(*predict, tmp_path / "out.xls")
    assert "there is no folder" in refused(*predict, tmp_path / "deep" / "out.csv")
    assert f"{new} is not a folder" in refused(*predict, new / "out.csv")
    frame.with_columns(prediction=1).write_csv(new)
    message = refused(*predict, tmp_path / "out.csv", "--keep")
    assert "columns named like predictions: prediction\n  help: rename them" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.drop("visits", "since"),
            r"lacks 2 of the 5 columns needed: 'visits', 'since'",
        ),
        (lambda t: t.rename({"since": "sicne"}), "help: could 'since' be 'sicne'\\? Rename it"),
        (lambda t: changed(t, spent=pl.lit("a lot")), "'spent' is a number .*row 1 has 'a lot'"),
        (lambda t: changed(t, since=pl.lit(7)), "'since' is a datetime column, but row 1 has 7"),
        (lambda t: changed(t, member=pl.lit("si")), "'member' is a boolean .*row 1 has 'si'"),
        (lambda t: changed(t, spent=pl.lit(np.inf)), r"infinite values in 'spent' \(240\)"),
        (lambda t: t.clear(), "has column names but no rows"),
    ],
)
def test_new_rows_that_do_not_fit_are_refused(
    change: Callable[[pl.DataFrame], pl.DataFrame],
    message: str,
    refused: Refused,
    finished: Path,
    frame: pl.DataFrame,
    tmp_path: Path,
) -> None:
    new = tmp_path / "new.csv"
    change(frame).write_csv(new)
    block = refused("predict", finished, new, "-o", tmp_path / "out.csv")
    assert str(new) in block and re.search(message, block), block


def test_a_row_that_the_run_has_not_is_refused(refused: Refused, finished: Path) -> None:
    for number in (0, 999):
        block = refused("evaluate", finished, "x.csv", "--row", number)
        assert re.search(rf"there is no row {number}\n  help: rows are 1 to \d+", block)


def test_labels_that_cannot_be_scored_are_refused(
    refused: Refused, finished: Path, frame: pl.DataFrame, tmp_path: Path
) -> None:
    new = tmp_path / "new.csv"
    frame.drop("buys").write_csv(new)
    assert f"{new} has no column 'buys' to evaluate against" in refused("evaluate", finished, new)
    frame.rename({"buys": "Buys"}).write_csv(new)
    assert "could it be 'Buys'? Rename it" in refused("evaluate", finished, new)
    frame.with_columns(buys=pl.lit("perhaps")).write_csv(new)
    block = refused("evaluate", finished, new)
    assert "no class in training: 'perhaps'\n  help: the classes are 'no', 'yes'" in block


def test_what_is_no_run_folder_is_refused(refused: Refused, table: Path, tmp_path: Path) -> None:
    out = ("-o", tmp_path / "out.csv")
    for place, what in ((tmp_path / "none", "is not there"), (table, "is not a folder")):
        for words in (("leaderboard", place), ("predict", place, table, *out)):
            assert re.search(rf"{what}\n  help: a run folder is what", refused(*words))
    assert "is not a run folder: no run.json" in refused("evaluate", tmp_path, table)


@pytest.mark.parametrize("name", ["run.json", "model.safetensors", "members.safetensors"])
def test_a_run_folder_that_was_changed_is_refused(
    name: str, refused: Refused, run: Path, table: Path, tmp_path: Path
) -> None:
    whole, middle = (run / name).read_bytes(), (run / name).stat().st_size // 2
    flipped = bytes([whole[middle] ^ 1])
    for spoilt in (whole[:-9], whole[:middle] + flipped + whole[middle + 1 :]):
        (run / name).write_bytes(spoilt)
        block = refused("predict", run, table, "-o", tmp_path / "out.csv", "--row", 2)
        assert re.search(f"{name} (was changed after it was written|is not sound JSON)", block)
        assert "or fit again" in block or "cut; fit again" in block


def test_an_edited_record_or_one_of_a_newer_version_is_refused(
    refused: Refused, run: Path, table: Path
) -> None:
    record = json.loads((run / "run.json").read_text("utf-8"))
    (run / "run.json").write_text(json.dumps({**record, "metric": "roc_auc"}), "utf-8")
    assert "run.json was changed after it was written" in refused("leaderboard", run)
    (run / "run.json").write_text(json.dumps({**record, "alnico_run": 99}), "utf-8")
    message = "written by a newer alnico: its format is 99, this one reads 1\n  help: pip install"
    assert message in refused("evaluate", run, table)


def test_nothing_to_go_on_with_is_refused(
    refused: Refused, run: Path, table: Path, tmp_path: Path
) -> None:
    block = refused("fit", table, "-o", tmp_path / "new", "--resume")
    assert re.search("nothing to go on with: .*new.partial is missing\n  help: start it", block)
    block = refused("fit", table, "-o", run, "--resume")
    assert "is finished: its test part was opened" in block and "another -o" in block
