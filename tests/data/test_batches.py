from __future__ import annotations

import pytest
import torch

from alnico.data.batches import (
    Rows,
    epoch_order,
    map_batch,
    n_batches,
    n_rows,
    spread,
    take,
)
from alnico.errors import DataError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_rows(n: int = 10) -> Rows:
    inputs = {"a": torch.arange(n), "b": torch.randn(n, 3, 2)}
    return Rows(inputs, torch.arange(n) * 10.0, length=torch.arange(n) % 4)


def test_take_is_plain_indexing_for_an_index_of_any_shape() -> None:
    x = torch.randn(7, 3, 2)
    for shape in ((4,), (2, 3), (2, 1, 3), (0,)):
        index = torch.randint(7, shape)
        assert torch.equal(take(x, index), x[index])


def test_take_reads_every_tensor_of_a_named_batch() -> None:
    rows = some_rows()
    index = torch.tensor([[9, 0], [3, 3]])
    found = rows.take(index)
    assert isinstance(found.inputs, dict) and isinstance(rows.inputs, dict)
    assert found.inputs["b"].shape == (2, 2, 3, 2)
    assert torch.equal(found.inputs["a"], index)
    assert torch.equal(found.target, index * 10.0)
    assert found.length is not None and torch.equal(found.length, index % 4)


def test_rows_are_counted_by_the_first_axis() -> None:
    assert n_rows(torch.zeros(5, 2)) == 5
    assert n_rows({"a": torch.zeros(4), "b": torch.zeros(4, 9)}) == 4
    assert n_rows({}) == 0
    assert len(some_rows(6)) == 6


def test_rows_of_different_number_are_named() -> None:
    with pytest.raises(DataError, match="x 3, target 4"):
        Rows({"x": torch.zeros(3)}, torch.zeros(4))
    with pytest.raises(DataError, match="length 5"):
        Rows(torch.zeros(4), torch.zeros(4), torch.zeros(5))


def test_rows_move_to_a_device_with_all_they_have() -> None:
    moved = some_rows().to("meta")
    assert isinstance(moved.inputs, dict)
    assert moved.length is not None
    tensors = [*moved.inputs.values(), moved.target, moved.length]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_spread_shows_the_same_rows_to_all_without_a_copy() -> None:
    x = torch.randn(4, 3)
    found = spread({"x": x}, 5)
    assert isinstance(found, dict)
    assert found["x"].shape == (5, 4, 3)
    assert found["x"].data_ptr() == x.data_ptr()


def test_map_batch_keeps_the_form_of_the_batch() -> None:
    x = torch.ones(2)
    assert torch.equal(map_batch(torch.neg, x), -x)
    assert torch.equal(map_batch(torch.neg, {"x": x})["x"], -x)


def test_an_epoch_takes_every_row_once_if_the_rest_is_not_tiny() -> None:
    order = epoch_order(100, 32, seeded())
    assert [len(batch) for batch in order] == [32, 32, 32, 4]
    assert sorted(torch.cat(order).tolist()) == list(range(100))


def test_a_tiny_rest_is_left_out_and_another_one_the_next_time() -> None:
    generator = seeded()
    epochs = [torch.cat(epoch_order(66, 64, generator)) for _ in range(2)]
    left_out = [set(range(66)) - set(epoch.tolist()) for epoch in epochs]
    assert [len(rows) for rows in left_out] == [2, 2]
    assert left_out[0] != left_out[1]


@pytest.mark.parametrize("n", [1, 3, 8, 31, 32, 33, 63, 64, 65])
def test_the_number_of_batches_is_known_beforehand(n: int) -> None:
    order = epoch_order(n, 32, seeded(n))
    assert len(order) == n_batches(n, 32)
    assert n_batches(0, 32) == 0
    with_length = epoch_order(n, 32, seeded(n), torch.ones(n))
    assert [len(b) for b in with_length] == [len(b) for b in order]


def test_fewer_rows_than_a_batch_are_one_batch() -> None:
    assert [len(batch) for batch in epoch_order(3, 256, seeded())] == [3]


def test_the_order_is_a_function_of_the_generator() -> None:
    first, again, other = (torch.cat(epoch_order(64, 8, seeded(s))) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_rows_of_like_length_share_a_batch() -> None:
    length = torch.randint(1, 100, (1000,), generator=seeded())

    def padding(order: list[torch.Tensor]) -> int:
        return sum(int((length[batch].max() - length[batch]).sum()) for batch in order)

    bucketed = epoch_order(1000, 50, seeded(3), length)
    assert sorted(torch.cat(bucketed).tolist()) == list(range(1000))
    assert padding(bucketed) < padding(epoch_order(1000, 50, seeded(3))) / 10
    longest = [int(length[batch].max()) for batch in bucketed]
    assert longest != sorted(longest)


def test_members_that_share_a_batch_generator_meet_like_lengths_in_one_step() -> None:
    length = torch.randint(1, 100, (1024,), generator=seeded())
    one, two = (
        epoch_order(1024, 64, seeded(seed), length, batch_generator=seeded(9)) for seed in (1, 2)
    )
    assert not torch.equal(one[0], two[0])
    for own, other in zip(one, two, strict=True):
        assert abs(int(length[own].max()) - int(length[other].max())) <= 2
