from __future__ import annotations

import struct
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch.nn.functional import pad

from alnico.data.batches import Rows, take
from alnico.data.encode import Encoder, fit_encoder
from alnico.data.fingerprint import fingerprints
from alnico.data.schema import conform, infer_schema
from alnico.data.table import read_table


def invent(n: int = 60) -> pl.DataFrame:
    """A number, one with gaps, a category, a date and a text of a row's own length."""
    draw = np.random.default_rng(0)
    words = np.array(["a", "good", "poor", "dress", "fits", "runs", "small", "large", "well"])
    return pl.DataFrame(
        {
            "price": draw.normal(50, 9, n),
            "age": [None if i % 7 == 3 else float(i) for i in range(n)],
            "kind": [("red", "blue", "green")[i % 3] for i in range(n)],
            "since": [date(2024, 1 + i % 12, 1 + i % 28) for i in range(n)],
            "review": [" ".join(draw.choice(words, 2 + i % 9)) for i in range(n)],
            "buys": [i % 2 for i in range(n)],
        }
    )


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    frame = invent()
    schema = infer_schema(frame, target="buys", text=("review",), category=("kind",))
    return fit_encoder(conform(frame, schema, source="it"), schema)


def prints(frame: pl.DataFrame, encoder: Encoder) -> list[int]:
    rows = Rows(
        encoder.encode(conform(frame, encoder.schema, source="it")),
        torch.tensor(frame["buys"].to_list()),
    )
    found = fingerprints(rows)
    assert found.dtype == np.int64 and found.shape == (frame.height,)
    return found.tolist()


def test_a_row_has_the_same_number_in_every_part_of_a_table(encoder: Encoder) -> None:
    frame = invent()
    whole = prints(frame, encoder)
    assert len(set(whole)) == frame.height
    for part in ([0], [9, 2, 40], [*range(59, -1, -1)]):  # texts are padded to other lengths
        assert prints(frame[part], encoder) == [whole[i] for i in part]


def test_padding_at_the_end_of_a_sequence_adds_nothing(encoder: Encoder) -> None:
    frame = invent()
    batch, target = encoder.encode(frame.drop("buys")), torch.arange(60)
    sequences = ("words", "bag", "bag_weight")
    padded = {k: pad(v, (0, 3)) if k in sequences else v for k, v in batch.items()}
    assert (fingerprints(Rows(padded, target)) == fingerprints(Rows(batch, target))).all()


def test_numbers_as_they_are_beside_their_encodings_change_nothing(encoder: Encoder) -> None:
    assert prints(invent(), replace(encoder, raw=True)) == prints(invent(), encoder)


@pytest.mark.parametrize(
    "change",
    [
        pl.col("price") + 1e-3,
        pl.col("age").fill_null(0.0),
        pl.lit("blue").alias("kind"),
        pl.col("since").dt.offset_by("1d"),
        pl.col("review") + " large",
        (1 - pl.col("buys")).alias("buys"),
    ],
    ids=["number", "missing", "category", "date", "text", "target"],
)
def test_one_changed_cell_changes_the_number_of_its_row_alone(encoder: Encoder, change) -> None:
    frame = invent()
    i = 3  # it is red, and its age is missing
    other = pl.concat([frame[:i], frame[i : i + 1].with_columns(change), frame[i + 1 :]])
    changed = [a != b for a, b in zip(prints(frame, encoder), prints(other, encoder), strict=True)]
    assert changed == [row == i for row in range(frame.height)]


def test_a_value_in_another_place_is_another_row() -> None:
    x = torch.tensor([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [0.0, 0.0, 0.0]])
    target = torch.zeros(4)
    assert len(set(fingerprints(Rows(x, target)).tolist())) == 4
    named = ({"a": x, "b": x.flip(1)}, {"a": x.flip(1), "b": x})
    one, other = (fingerprints(Rows(batch, target)) for batch in named)
    assert (one[:3] != other[:3]).all()
    again = fingerprints(Rows(dict(reversed(named[0].items())), target))
    assert (again == one).all(), "the order in which tensors are named must not count"


@pytest.mark.parametrize("values", [2, 4])
def test_a_hundred_thousand_different_rows_have_different_numbers(values: int) -> None:
    # rows of few values and like sums are what a weak mixing would confuse
    draw = np.random.default_rng(values)
    x = np.unique(draw.integers(0, values, (140_000, 24)), axis=0)[:100_000]
    assert len(x) == 100_000
    found = fingerprints(Rows(torch.from_numpy(x).float(), torch.zeros(len(x))))
    assert len(np.unique(found)) == len(x)
    bits = np.unpackbits(found.view(np.uint8).reshape(-1, 8), axis=1).mean(0)
    assert np.abs(bits - 0.5).max() < 0.01


def test_numbers_that_a_run_folder_keeps_stay_what_they_are() -> None:
    # SplitMix64 in plain integers: bits of a value, mixed with the number of its tensor and place
    def mixed(x: int) -> int:
        x = (x + 0x9E3779B97F4A7C15) % 2**64
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
        return x ^ x >> 31

    assert mixed(0) == 0xE220A8397B1DCDAF  # the first number of the published generator
    inputs = {"b": torch.tensor([[3], [0]]), "a": torch.tensor([[0.5, -1.0], [0.0, 7.0]])}
    found = fingerprints(Rows(inputs, torch.tensor([1.0, 0.0])))
    for row, number in enumerate(found.view(np.uint64).tolist()):
        cells = [[*inputs["a"][row].tolist()], [*inputs["b"][row].tolist()], [1.0 - row]]
        total = 0
        for tensor, values in enumerate(cells):
            for place, value in enumerate(values):
                bits = int.from_bytes(struct.pack("<f", value), "little")
                total += mixed(mixed((tensor << 32) + place) ^ bits) if bits else 0
        assert number == total % 2**64


def test_numbers_of_real_rows_are_as_many_as_the_rows(shared_data: Path) -> None:
    frame = read_table(shared_data / "bank_marketing" / "bank-full.csv.gz").frame[:20_000]
    schema = infer_schema(frame, target="y")
    encoder = replace(fit_encoder(conform(frame, schema, source="it"), schema), raw=True)
    rows = Rows(encoder.encode(conform(frame, schema, source="it")), torch.zeros(frame.height))
    assert len(np.unique(fingerprints(rows))) == frame.drop("y").n_unique()
    first = Rows(take(rows.inputs, torch.arange(9)), rows.target[:9])
    assert (fingerprints(first) == fingerprints(rows)[:9]).all()
