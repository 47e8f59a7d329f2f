from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from alnico.data.batches import Rows, epoch_order
from alnico.errors import DataError
from alnico.training.feed import LoaderFeed, RowsFeed, make_feed, valid_batches
from alnico.training.optimisers import Setting

CPU = torch.device("cpu")


def rows(n: int = 20) -> Rows:
    return Rows({"x": torch.arange(n).unsqueeze(-1)}, torch.arange(n))


def targets(feed: RowsFeed | LoaderFeed, members: list[int]) -> Tensor:
    """[steps x n, members] of one epoch whose batches are full"""
    return torch.cat([deal(members)[1].T for deal in feed.epoch(members)])


def test_each_member_gets_the_order_of_its_own_seed() -> None:
    feed = RowsFeed(rows(), batch_size=5, seeds=[7, 8])
    generator = torch.Generator().manual_seed(8)
    for _ in range(2):
        expected = torch.cat(epoch_order(20, 5, generator))
        assert torch.equal(targets(feed, [0, 1])[:, 1], expected)


def test_an_order_does_not_depend_on_who_else_trains() -> None:
    whole, fewer = (RowsFeed(rows(), batch_size=5, seeds=[7, 8, 9]) for _ in range(2))
    assert torch.equal(targets(whole, [0, 1, 2])[:, 2], targets(fewer, [2])[:, 0])
    assert torch.equal(targets(whole, [2, 0])[:, 0], targets(fewer, [2])[:, 0])


def test_inputs_and_targets_stay_together() -> None:
    for deal in RowsFeed(rows(), batch_size=6, seeds=[1, 2]).epoch([0, 1]):
        inputs, target = deal([1, 0])
        assert isinstance(inputs, dict)
        assert torch.equal(inputs["x"][..., 0], target)


def test_a_feed_begins_anew_with_the_same_order() -> None:
    feed = RowsFeed(rows(), batch_size=5, seeds=[7])
    first, second = targets(feed, [0]), targets(feed, [0])
    assert not torch.equal(first, second)
    assert torch.equal(targets(feed.anew(), [0]), first)


def test_like_lengths_meet_in_one_step_over_the_members() -> None:
    length = torch.arange(64) % 16
    own = Rows(torch.zeros(64, 1), length, length)
    for deal in RowsFeed(own, batch_size=8, seeds=[1, 2]).epoch([0, 1]):
        _, target = deal([0, 1])
        assert int(target.max() - target.min()) <= 2


def test_all_members_share_the_batches_of_a_loader() -> None:
    loader = DataLoader(TensorDataset(torch.arange(10.0).unsqueeze(-1), torch.arange(10)), 4)
    feed = LoaderFeed(loader, device=CPU)
    assert feed.n_batches == 3
    found = [deal([0, 2]) for deal in feed.epoch([0, 2])]
    assert [tuple(target.shape) for _, target in found] == [(2, 4), (2, 4), (2, 2)]
    for (inputs, target), (x, y) in zip(found, loader, strict=True):
        assert torch.equal(inputs[1], x)
        assert torch.equal(target[1], y)


class Stream(IterableDataset[tuple[Tensor, Tensor]]):
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter([(torch.ones(2), torch.tensor(1))] * 7)


def test_the_batches_of_a_stream_are_counted() -> None:
    assert LoaderFeed(DataLoader(Stream(), batch_size=3), device=CPU).n_batches == 3


def make(data: object) -> RowsFeed | LoaderFeed:
    return make_feed(data, [Setting()], batch_size=4, device=CPU)  # type: ignore[arg-type]


def test_make_feed_takes_rows_and_lists_of_batches() -> None:
    assert isinstance(make(rows()), RowsFeed)
    assert isinstance(make([(torch.zeros(2, 1), torch.zeros(2))]), LoaderFeed)


@pytest.mark.parametrize("nothing", [[], rows(0), DataLoader(TensorDataset(torch.zeros(0, 1)), 4)])
def test_nothing_to_train_on_is_said(nothing: object) -> None:
    with pytest.raises(DataError, match="nothing to train on"):
        make(nothing)


@pytest.mark.parametrize("nothing", [[], rows(0)])
def test_nothing_to_validate_on_is_said(nothing: Rows) -> None:
    with pytest.raises(DataError, match="nothing to validate on"):
        valid_batches(nothing, batch_size=4, device=CPU)


def test_what_can_be_read_only_once_is_refused_with_a_way_out() -> None:
    for use in (make, lambda data: valid_batches(data, batch_size=4, device=CPU)):
        with pytest.raises(DataError, match="read only once") as caught:
            use(iter([(torch.zeros(2, 1), torch.zeros(2))]))
        assert "DataLoader" in str(caught.value.help)


def test_a_batch_with_too_few_targets_is_refused() -> None:
    feed = make([(torch.zeros(3, 1), torch.zeros(2))])
    with pytest.raises(DataError, match="3 rows but 2 targets"):
        list(feed.epoch([0]))


def test_validation_sees_every_row_once_and_like_lengths_together() -> None:
    length = torch.randint(1, 50, (30,))
    data = Rows(torch.arange(30.0).unsqueeze(-1), torch.arange(30), length)
    watch = valid_batches(data, batch_size=8, device=CPU)
    for _ in range(2):
        found = list(watch())
        seen = torch.cat([target for _, target in found])
        assert sorted(seen.tolist()) == list(range(30))
        assert length[seen].tolist() == sorted(length.tolist())
        assert all(torch.equal(x[:, 0], y.float()) for x, y in found)


def test_validation_rows_without_length_keep_their_order() -> None:
    watch = valid_batches(rows(9), batch_size=4, device=CPU)
    assert torch.cat([target for _, target in watch()]).tolist() == list(range(9))
