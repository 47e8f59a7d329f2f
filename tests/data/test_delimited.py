from __future__ import annotations

import csv
import gzip
import io
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from alnico import progress
from alnico.data.delimited import as_boolean, as_datetime, check_unique, read_delimited
from alnico.errors import DataError


def read(text: str) -> pl.DataFrame:
    return read_delimited(text.encode(), source="shop.csv")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_each_separator_is_found(separator: str) -> None:
    text = "\n".join(separator.join(row) for row in (["a", "b", "c"], ["1", "x", "2.5"]))
    assert read(text).to_dicts() == [{"a": 1, "b": "x", "c": 2.5}]


def test_separators_inside_values_do_not_mislead() -> None:
    assert read("a;b\n1,5;x\n2,25;y\n").columns == ["a", "b"]
    assert read('a,b\n"x;y;z",1\n"u;v;w",2\n').columns == ["a", "b"]
    assert read("a,b|c\nx,1|2\ny,3|4\n").columns == ["a", "b|c"]


def test_quotes_and_line_breaks_are_read_as_the_standard_library_reads_them() -> None:
    rows = [["n", "t"], ["1", 'say "hi"'], ["2", "two\nlines"], ["3", "a, b"], ["4", '5" pipe']]
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    assert [list(map(str, row)) for row in read(out.getvalue()).rows()] == rows[1:]


def test_a_column_is_typed_by_all_of_its_rows() -> None:
    numbers = "\n".join(str(i) for i in range(5_000))
    assert read(f"a\n{numbers}\n").dtypes == [pl.Int64]
    assert read(f"a\n{numbers}\n0.5\n").dtypes == [pl.Float64]
    assert read(f"a\n{numbers}\nmany\n").dtypes == [pl.String]


def test_booleans_and_date_times_are_recognised() -> None:
    frame = read("b,d\nTRUE,2024-02-29\nfalse,2024-03-01 10:30\n,\n")
    assert frame["b"].to_list() == [True, False, None]
    assert frame["d"].to_list() == [datetime(2024, 2, 29), datetime(2024, 3, 1, 10, 30), None]
    assert read("d\n2024-02-30\n").dtypes == [pl.String]  # there is no such day


@pytest.mark.parametrize("spelling", ["", "NA", "N/A", "null", "NULL", "nan", "NaN", "None", " "])
def test_common_spellings_of_missing_are_null(spelling: str) -> None:
    frame = read(f"a,b\n1,x\n{spelling},{spelling}\n")
    assert frame["a"].to_list() == [1, None]
    assert frame["b"].to_list() == ["x", None]


def test_blanks_around_names_and_values_are_cut_off() -> None:
    assert read("a , b\n 1, x y \n").to_dicts() == [{"a": 1, "b": "x y"}]


def test_columns_without_a_name_get_one() -> None:
    assert read(",b,\n0,1,2\n").columns == ["unnamed_1", "b", "unnamed_3"]


def test_blank_lines_are_no_rows() -> None:
    assert read("\n\na,b\n1,2\n\n3,4\n\n\n").height == 2


def test_a_header_alone_gives_an_empty_frame_with_its_names() -> None:
    for text in ("a,b", "a,b\n", "a,b\n\n"):
        assert read(text).shape == (0, 2)


def test_windows_line_ends_and_a_byte_order_mark_leave_no_trace() -> None:
    data = b"\xef\xbb\xbfa,b\r\n1,x\r\n2,y\r\n"
    expected = {"a": [1, 2], "b": ["x", "y"]}
    assert read_delimited(data, source="").to_dict(as_series=False) == expected


def test_utf16_with_its_mark_is_read() -> None:
    assert read_delimited("é,b\nü,1\n".encode("utf-16"), source="").rows() == [("ü", 1)]


def test_latin1_is_read_and_said() -> None:
    heard: list[progress.Event] = []
    with progress.listen(heard.append):
        frame = read_delimited("naïve,b\nMünchen,1\n".encode("latin-1"), source="shop.csv")
    assert frame.rows() == [("München", 1)]
    assert frame.columns == ["naïve", "b"]
    assert [event.what for event in heard] == ["warning"]
    assert "shop.csv is not UTF-8 (byte 2)" in heard[0].phase.text


def test_binary_content_is_refused() -> None:
    with pytest.raises(DataError, match="not a text table"):
        read_delimited(b"\x00\x01\x02", source="x.bin")


def test_a_double_name_is_named_with_its_count() -> None:
    with pytest.raises(DataError, match=r"same name: 'a' \(3 times\), 'c' \(2 times\)"):
        read("a,b,a,c,a,c\n1,2,3,4,5,6\n")
    check_unique(["a", "b"], source="")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c\n1,2,3\n4,5\n", "line 3: 2 values where the header has 3"),
        ("a,b\n1,2\n3,4\n5,6,7\n", "line 4: 3 values where the header has 2"),
        ('a,b\n"x\ny",2\n\n5,6,7\n', "line 5: 3 values where the header has 2"),
        ("a;b;c\n1,2,3\n4,5,6\n", "line 2: 1 value where the header has 3"),
        ('a,b\n1,2\n3,"4\n5,6\n', "line 3: a double quote that is never closed"),
        ('a,b,c\n1,2,3\n4,"5,6\n7,8,9\n', "line 3: 2 values where the header has 3"),
    ],
)
def test_the_first_line_of_another_width_is_named(text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(text)
    assert message in caught.value.message
    assert "separated by" in str(caught.value.help)


def test_a_last_value_that_is_quoted_and_ends_in_a_line_break_is_no_fault() -> None:
    assert read('a,b\n1,"x\n"\n').rows() == [(1, "x")]


def test_a_tab_file_without_quoting_keeps_every_line() -> None:
    lines = ['1\t"Best film', "0\tso so", '1\tever" they said', '0\tsay "no"']
    frame = read("label\ttext\n" + "\n".join(lines) + "\n")
    assert ["\t".join(map(str, row)) for row in frame.rows()] == lines


def test_a_tab_file_with_quoting_is_read_by_its_quotes() -> None:
    assert read('a\tb\n"x\ty"\t1\n"two\nlines"\t2\n')["a"].to_list() == ["x\ty", "two\nlines"]
    assert read('a\tb\n"say ""hi"""\t1\n')["a"].to_list() == ['say "hi"']


@pytest.mark.parametrize("name", ["sls_imdb", "sms_spam", "subj"])
def test_real_tab_files_with_stray_quotes_keep_every_line(shared_data: Path, name: str) -> None:
    path = shared_data / "text_classification" / f"{name}.tsv.gz"
    lines = gzip.decompress(path.read_bytes()).decode().rstrip("\n").split("\n")
    frame = read("label\ttext\n" + "\n".join(lines))
    expected = [line.split("\t")[1].strip() for line in lines]
    assert frame["text"].to_list() == expected


def test_thousands_of_columns_are_read_in_order() -> None:
    names = [f"c{i}" for i in range(3_000)]
    row = [str(i / 2) for i in range(3_000)]
    frame = read("\n".join([",".join(names), ",".join(row), ",".join(row)]))
    assert frame.columns == names
    assert frame.row(1) == tuple(i / 2 for i in range(3_000))


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-29",
        "2024-02-29 23:59",
        "2024-02-29T23:59:58",
        "2024-02-29 23:59:58.123456",
        "2024-02-29T23:59:58Z",
        "2024-02-29T23:59+00:00",
        "2024-02-29T23:59:58+02:00",
        "2024-02-29T01:00:00-05:30",
    ],
)
def test_iso_times_agree_with_the_standard_library(text: str) -> None:
    expected = datetime.fromisoformat(text)
    if expected.tzinfo is not None:
        expected = (expected - expected.utcoffset()).replace(tzinfo=None)
    frame = pl.DataFrame({"t": [text]})
    assert frame.select(as_datetime(pl.col("t"))).item() == expected


def test_other_text_is_no_time_and_no_boolean() -> None:
    frame = pl.DataFrame({"t": ["29.02.2024", "2024-13-01", "2024", "yes", None]})
    assert frame.select(as_datetime(pl.col("t")))["t"].null_count() == 5
    assert frame.select(as_boolean(pl.col("t")))["t"].null_count() == 5


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_what_polars_writes_is_read_back(seed: int, separator: str) -> None:
    draw = np.random.default_rng(seed)
    n = int(draw.integers(2, 80))
    words = ["x", "a,b", "c;d", "e|f", "g\th", 'say "hi"', "two\nlines", "naïve", "-", "1e"]
    some = draw.random((4, n)) < 0.8
    some[:, 0] = True
    columns = {
        "whole": draw.integers(-(10**12), 10**12, n).tolist(),
        "number": draw.normal(size=n).tolist(),
        "a;b, c": draw.choice(words, n).tolist(),
        "time": [
            datetime(2024, 1, 1) + timedelta(seconds=int(s)) for s in draw.integers(0, 9**9, n)
        ],
    }
    frame = pl.DataFrame(
        {
            name: [value if kept else None for value, kept in zip(values, row, strict=True)]
            for (name, values), row in zip(columns.items(), some, strict=True)
        }
    ).with_columns(pl.lit(seed % 2 == 0).alias("flag"))
    text = frame.write_csv(separator=separator)
    assert read(text).equals(frame)
