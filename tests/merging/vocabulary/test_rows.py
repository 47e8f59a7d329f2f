from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from alnico.checkpoint.header import ARRAYS, SIZES
from alnico.checkpoint.opened import open_checkpoint
from alnico.checkpoint.reader import DTYPES
from alnico.merging.vocabulary import rows as rows_module
from alnico.merging.vocabulary.rows import CENTRE, MEAN, ZERO, Rows, Table

WIDTH = 5


class Tables:
    """Tensors on disk, and what is made of their rows."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.tensors: list[Tensor] = []
        self.tables: list[Table] = []

    def add(self, tensor: Tensor) -> None:
        path = self.folder / f"{len(self.tables)}.safetensors"
        save_file({"x": tensor}, path)
        opened = self.stack.enter_context(open_checkpoint(path))
        self.tensors.append(tensor)
        self.tables.append(Table(opened, "x", tensor[0].numel()))

    def rows(
        self,
        where: list[int],
        number: list[int],
        *,
        dtype: str = "F32",
        means: list[list[int]] | None = None,
        exact: bool = False,
    ) -> Rows:
        columns = np.array(means or [[]] * len(self.tables), np.int64)
        shape = (len(where), self.tables[0].width)
        return Rows(dtype, shape, self.tables, np.array(where), np.array(number), columns, exact)


def read(rows: Rows, start: int = 0, stop: int | None = None) -> Tensor:
    """Entries of what is made."""
    stop = rows.where.size * rows.width if stop is None else stop
    out = np.empty((stop - start) * SIZES[rows.dtype], np.uint8)
    rows.read(start, stop, out)
    whole = torch.from_numpy(out).view(DTYPES[rows.dtype])
    return whole if start or stop % rows.width else whole.reshape(-1, rows.width)


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    with ExitStack() as stack:
        yield Tables(tmp_path, stack)


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
def test_rows_are_gathered_as_torch_gathers_them(dtype: str, tables: Tables) -> None:
    tables.add(torch.randn(300, WIDTH).to(DTYPES[dtype]))
    for numbers in (torch.arange(300), torch.randperm(300), torch.randint(300, (500,))):
        found = tables.tables[0].rows(numbers.numpy())
        expected = tables.tensors[0][numbers].view(torch.uint8).numpy().view(ARRAYS[dtype])
        assert np.array_equal(found, expected)


def test_rows_that_lie_far_apart_are_gathered_too(tables: Tables) -> None:
    tables.add(torch.randn(20_000, WIDTH))
    numbers = np.array([19_999, 3, 10_000, 4, 3])
    assert np.array_equal(tables.tables[0].rows(numbers), tables.tensors[0].numpy()[numbers])


def test_every_range_of_entries_is_that_of_the_whole(tables: Tables) -> None:
    tables.add(torch.randn(6, WIDTH))
    tables.add(torch.randn(6, WIDTH))
    rows = tables.rows([0, 0, 0, 1, ZERO, 0, 1], [1, 2, 3, 5, 0, 0, 2])
    a, b = tables.tensors
    whole = torch.cat([a[1:4], b[5:6], torch.zeros(1, WIDTH), a[:1], b[2:3]]).reshape(-1)
    for start in range(len(whole)):
        for stop in range(start + 1, len(whole) + 1):
            assert torch.equal(read(rows, start, stop).reshape(-1), whole[start:stop])


def test_large_tensors_are_made_in_parts(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_CHUNK", 64)
    tables.add(torch.randn(50, WIDTH))
    order = torch.randperm(50)
    rows = tables.rows([0] * 50, order.tolist())
    assert torch.equal(read(rows), tables.tensors[0][order])
    assert torch.equal(read(rows, 7, 201), tables.tensors[0][order].reshape(-1)[7:201])


def test_a_mean_is_of_those_tables_that_have_the_row(tables: Tables) -> None:
    for _ in range(3):
        tables.add(torch.randn(4, WIDTH))
    rows = tables.rows([MEAN, 0, MEAN], [1, 2, 0], means=[[0, 1], [3, -1], [2, 1]])
    a, b, c = tables.tensors
    expected = torch.stack([(a[1] + c[1]) / 2, a[2], (a[0] + b[3] + c[2]) / 3])
    torch.testing.assert_close(read(rows), expected)


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
def test_an_exact_mean_is_that_of_sums_in_the_dtype(dtype: str, tables: Tables) -> None:
    for _ in range(4):
        tables.add(torch.randn(9, 64).to(DTYPES[dtype]))
    columns = [list(range(9))] * 4
    rows = tables.rows([MEAN] * 9, list(range(9)), dtype=dtype, means=columns, exact=True)
    total = torch.zeros(9, 64, dtype=DTYPES[dtype])
    for tensor in tables.tensors:
        total += tensor
    assert torch.equal(read(rows), total / 4)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
def test_padding_is_the_mean_of_all_rows_before(
    dtype: str, exact: bool, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "_CHUNK", 512)
    tables.add(torch.randn(30, WIDTH).to(DTYPES[dtype]))
    where, number = [0] * 30 + [CENTRE] * 2, [*reversed(range(30)), 0, 0]
    found = read(tables.rows(where, number, dtype=dtype, exact=exact))
    mean = tables.tensors[0].flip(0).mean(0)
    assert torch.equal(found[30], found[31])
    if exact:
        assert torch.equal(found[30], mean)
    else:
        torch.testing.assert_close(found[30], mean)


@pytest.mark.parametrize("there", ["F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"])
@pytest.mark.parametrize("here", ["F64", "F32", "F16", "BF16"])
def test_rows_of_another_dtype_are_rounded_as_torch_rounds_them(
    here: str, there: str, tables: Tables
) -> None:
    tables.add(torch.randn(4, WIDTH).to(DTYPES[here]))
    tables.add(torch.randn(4, WIDTH).to(DTYPES[there]))
    found = read(tables.rows([0, 1, 1], [0, 3, 2], dtype=here))
    expected = torch.cat([tables.tensors[0][:1], tables.tensors[1][[3, 2]].to(DTYPES[here])])
    assert torch.equal(found, expected)
