from __future__ import annotations

import gzip
import io
import lzma
import re
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from alnico import progress
from alnico.data.table import Table, a_few, check_finite, read_table
from alnico.errors import AlnicoError, DataError

CSV = b"a,b\n1,x\n2,y\n"
ROWS = [(1, "x"), (2, "y")]


def zipped(*contents: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for i, content in enumerate(contents):
            archive.writestr(f"{i}.csv", content)
    return out.getvalue()


def parquet(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


def warnings_of(action: Callable[[], Table]) -> list[str]:
    heard: list[progress.Event] = []
    with progress.listen(heard.append):
        action()
    return [event.phase.text for event in heard]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("t.csv", CSV),
        ("t.txt", CSV.replace(b",", b"\t")),
        ("t.csv.gz", gzip.compress(CSV)),
        ("t.csv.xz", lzma.compress(CSV)),
        ("t.zip", zipped(CSV)),
        ("t.parquet", parquet(pl.DataFrame(ROWS, schema=["a", "b"], orient="row"))),
        ("t.parquet.brotli", parquet(pl.DataFrame(ROWS, schema=["a", "b"], orient="row"))),
        ("no_suffix", parquet(pl.DataFrame(ROWS, schema=["a", "b"], orient="row"))),
    ],
)
def test_a_file_is_known_by_its_content(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    table = read_table(path)
    assert table.frame.columns == ["a", "b"]
    assert table.frame.rows() == ROWS
    assert table.source == str(path)
    assert table.digest == sha256(data).hexdigest()
    assert read_table(str(path), name="shop").source == "shop"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", b"\xef\xbb\xbf\n \n", "is empty"),
        ("t.csv.gz", gzip.compress(b""), "is empty"),
        ("t.csv", b"a,b\n", "column names but no rows"),
        ("t.csv.gz", gzip.compress(bytes(range(256)))[:40], "damaged and cannot be unpacked"),
        ("t.csv.xz", lzma.compress(CSV)[:40], "damaged and cannot be unpacked"),
        ("t.zip", zipped(CSV)[:40], "damaged and cannot be unpacked"),
        ("t.xlsx", zipped(CSV, CSV), "holds 2 files, or is a spreadsheet"),
        ("t.parquet", CSV, "is not a Parquet file"),
        ("t.parquet", parquet(pl.DataFrame({"a": [1]}))[:-5], "is a damaged Parquet file"),
        ("t.csv", b"a b c\n1 2 3\n4 5 6\n", "'a b c', that looks like 3"),
        ("t.csv", b"a:b\n1:2\n4:5\n", "'a:b', that looks like 2"),
    ],
)
def test_an_unusable_file_is_named_with_the_reason(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert message in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.help


def test_a_missing_file_points_to_the_near_one(tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_bytes(CSV)
    (tmp_path / ".hidden").write_bytes(CSV)
    with pytest.raises(DataError, match=r"(?s)no file .*custmers\.csv.*mean 'customers\.csv'"):
        read_table(tmp_path / "custmers.csv")
    with pytest.raises(DataError, match=r"in that folder are customers\.csv$"):
        read_table(tmp_path / "zz")
    with pytest.raises(DataError, match="no folder"):
        read_table(tmp_path / "nowhere" / "t.csv")
    with pytest.raises(DataError, match="is a folder"):
        read_table(tmp_path)


def test_a_column_of_sentences_is_not_taken_for_a_wrong_separator() -> None:
    frame = pl.DataFrame({"review text": ["good", "not my size", "well made"]})
    assert read_table(frame).frame.equals(frame)


def test_pandas_and_polars_frames_of_equal_content_are_equal_tables() -> None:
    day = datetime(2024, 1, 1, 12)
    values = {"s": ["x", None], "f": [1.5, None], "b": [True, False], "t": [day, day]}
    from_polars = read_table(pl.DataFrame(values))
    from_pandas = read_table(pd.DataFrame(values, index=["p", "q"]))
    assert from_pandas.frame.equals(from_polars.frame)
    assert from_pandas.digest == from_polars.digest
    assert from_pandas.source == "DataFrame"


def test_the_digest_of_a_frame_tells_values_types_and_names_apart() -> None:
    frames = [
        pl.DataFrame({"a": ["", None], "b": [1, 2]}),
        pl.DataFrame({"a": [None, ""], "b": [1, 2]}),
        pl.DataFrame({"a": ["", None], "b": [1.0, 2.0]}),
        pl.DataFrame({"a": ["", None], "c": [1, 2]}),
        pl.DataFrame({"b": [1, 2], "a": ["", None]}),
        pl.DataFrame({"a": ["", None], "b": [1, 3]}),
    ]
    assert len({read_table(frame).digest for frame in frames}) == len(frames)
    again = pl.concat([frames[0][:1], frames[0][1:]], rechunk=False)
    assert read_table(again).digest == read_table(frames[0]).digest


def test_lazy_frames_and_columns_numbered_by_pandas_are_taken() -> None:
    assert read_table(pl.LazyFrame({"a": [1]})).frame.rows() == [(1,)]
    assert read_table(pd.DataFrame(np.eye(2))).frame.columns == ["0", "1"]


def test_types_are_reduced_to_plain_ones() -> None:
    zone = pl.Series([datetime(2024, 7, 1, 12)]).dt.replace_time_zone("Europe/Berlin")
    frame = pl.DataFrame(
        {
            "nan": [float("nan")],
            "decimal": [Decimal("1.25")],
            "span": [timedelta(minutes=1)],
            "clock": [time(1)],
            "day": [date(2024, 7, 1)],
            "level": pl.Series(["x"], dtype=pl.Categorical),
            "fixed": pl.Series(["x"], dtype=pl.Enum(["x"])),
            "zone": zone,
        }
    )
    assert read_table(frame).frame.row(0, named=True) == {
        "nan": None,
        "decimal": 1.25,
        "span": 60.0,
        "clock": 3600.0,
        "day": date(2024, 7, 1),
        "level": "x",
        "fixed": "x",
        "zone": datetime(2024, 7, 1, 10),
    }


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame(), "no columns"),
        (pl.DataFrame({"a": []}), "no rows"),
        (pl.DataFrame({"a": [1], "l": [[1]], "s": [{"x": 1}]}), r"'l' \(List.*'s' \(Struct"),
        (pl.DataFrame({"a": [b"x"]}), r"'a' \(Binary\)"),
        (pd.DataFrame({"ok": [1, 2], "bad": [1, "x"]}), "several types.*: 'bad'$"),
        (pd.DataFrame({"ok": [1], "bad": [object()]}), "no plain values: 'bad'$"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), r"same name: 'a' \(2 times\)"),
        (pl.DataFrame({"a;b": ["1;2"]}), r"'a;b', that looks like 2"),
        (np.eye(2), "'ndarray' objects are not tables"),
        ({"a": [1]}, "'dict' objects are not tables"),
    ],
)
def test_an_unusable_frame_is_refused_with_the_reason(frame: pl.DataFrame, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_table(frame)
    assert re.search(message, caught.value.message)
    assert caught.value.help


def test_numbers_spoilt_by_a_few_words_are_told() -> None:
    spoilt = [str(i) for i in range(30)] + ["n/a?", None, "abc"]
    frame = pl.DataFrame({"size": spoilt, "word": ["1"] + ["x"] * 32, "clean": ["1"] * 33})
    told = warnings_of(lambda: read_table(frame))
    assert len(told) == 1
    assert "2 of 33 values of 'size' are not numbers, e.g. 'n/a?' in row 31" in told[0]


def test_many_spoilt_columns_give_few_warnings() -> None:
    frame = pl.DataFrame({f"c{i}": ["1"] * 19 + ["x"] for i in range(50)})
    told = warnings_of(lambda: read_table(frame))
    assert len(told) == 6
    assert "45 more columns" in told[-1]


def test_infinite_values_are_counted_by_column() -> None:
    inf = float("inf")
    frame = pl.DataFrame({"a": [inf, 1.0, None], "b": [-inf, inf, 0.0], "c": [1, 2, 3], "d": "x"})
    with pytest.raises(DataError, match=r"^new\.csv: infinite values in 'a' \(1\), 'b' \(2\)") as e:
        check_finite(frame, ["a", "b", "c", "d"], source="new.csv")
    assert isinstance(e.value, AlnicoError)
    assert "leave them empty" in str(e.value.help)
    check_finite(frame, ["c", "d"])


def test_long_lists_of_names_are_cut() -> None:
    assert a_few(["a", "b"]) == "a, b"
    assert a_few("abcdefg", shown=2) == "a, b, ... 5 more"


def test_real_tables_are_read_whole(shared_data: Path) -> None:
    bank = read_table(shared_data / "bank_marketing" / "bank-full.csv.gz").frame
    assert bank.shape == (45_211, 17)
    assert bank["y"].value_counts(sort=True).rows() == [("no", 39_922), ("yes", 5_289)]
    assert bank.schema["balance"] == pl.Int64
    expected = pd.read_csv(shared_data / "hillstrom" / "hillstrom.csv.gz")
    hillstrom = read_table(shared_data / "hillstrom" / "hillstrom.csv.gz").frame
    assert hillstrom.equals(pl.from_pandas(expected))
