from __future__ import annotations

import pytest
import torch
from scipy.stats import binomtest, chisquare
from torch import Tensor

from alnico.errors import DataError, RecipeError
from alnico.fusing import swap_cells

N = 2_000


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def table(*shape: int) -> Tensor:
    """Every number is there once, and says its column by its last digits."""
    return torch.arange(N)[:, None] * 100.0 + torch.arange(shape[-1])


def test_a_cell_takes_a_value_of_its_own_column() -> None:
    x = table(5)
    swapped = swap_cells(x, share=0.3, generator=random())
    assert torch.equal(swapped % 100, x % 100)
    assert torch.equal(x, table(5)), "the rows were changed"


def test_the_share_of_swapped_cells_is_the_one_asked_for() -> None:
    swapped = swap_cells(table(5), share=0.3, generator=random()) != table(5)
    assert binomtest(int(swapped.sum()), 5 * N, 0.3).pvalue > 0.01
    assert not torch.equal(swapped[:, 0], swapped[:, 1]), "columns are swapped by themselves"


def test_a_swap_is_with_another_row_and_all_are_alike() -> None:
    x = torch.arange(4).repeat(5_000, 1).t().float()  # 4 rows, many columns
    swapped = swap_cells(x, share=1.0, generator=random())
    assert not (swapped == x).any()
    for row in range(4):
        counts = torch.bincount(swapped[row].long(), minlength=4)
        assert chisquare(counts[counts > 0].numpy()).pvalue > 0.01
        assert (counts > 0).sum() == 3


def test_nothing_and_everything_are_shares_too() -> None:
    x = table(3)
    assert torch.equal(swap_cells(x, share=0.0, generator=random()), x)
    one = torch.randn(1, 3)
    assert torch.equal(swap_cells(one, share=1.0, generator=random()), one)


def test_equal_seeds_give_equal_rows_and_the_global_state_is_not_used() -> None:
    state = torch.get_rng_state()
    one, other, third = (swap_cells(table(3), share=0.5, generator=random(s)) for s in (1, 1, 2))
    assert torch.equal(one, other) and not torch.equal(one, third)
    assert torch.equal(torch.get_rng_state(), state)


def test_one_column_in_several_encodings_moves_as_one() -> None:
    x = table(3)
    batch = {"rank": x, "log": x.flip(1) + 50, "pieces": x[:, :, None].expand(N, 3, 2)}
    columns = {
        "rank": torch.tensor([7, 8, 9]),
        "log": torch.tensor([9, 8, 7]),
        "pieces": torch.tensor([7, 8, 9]),
    }
    swapped = swap_cells(batch, share=0.4, generator=random(), columns=columns)
    assert not torch.equal(swapped["rank"], x)
    assert torch.equal(swapped["log"].flip(1), swapped["rank"] + 50)
    assert torch.equal(swapped["pieces"][..., 0], swapped["rank"])
    assert torch.equal(swapped["pieces"][..., 1], swapped["rank"])


def test_what_has_no_ids_moves_together_and_as_a_whole() -> None:
    batch = {"x": table(2), "words": table(6).long(), "weights": table(6) + 0.5}
    columns = {"x": torch.tensor([0, 1])}
    swapped = swap_cells(batch, share=0.5, generator=random(), columns=columns)
    source = swapped["words"][:, 0] // 100
    assert (source != torch.arange(N)).float().mean() == pytest.approx(0.5, abs=0.05)
    assert torch.equal(swapped["words"], batch["words"][source])
    assert torch.equal(swapped["weights"], batch["weights"][source])
    assert not torch.equal(swapped["x"][:, 0] // 100, source.float())


def test_without_ids_the_columns_of_float_tables_are_found() -> None:
    batch = {"x": table(3), "ids": table(2).long(), "image": table(4)[:, :, None]}
    swapped = swap_cells(batch, share=0.5, generator=random())
    sources = swapped["x"] // 100
    assert not torch.equal(sources[:, 0], sources[:, 1])
    whole = swapped["ids"][:, 0] // 100
    assert torch.equal(swapped["ids"], batch["ids"][whole])
    assert torch.equal(swapped["image"], batch["image"][whole])


def test_a_tensor_with_more_axes_moves_as_a_whole() -> None:
    images = torch.randn(50, 1, 4, 4)
    swapped = swap_cells(images, share=0.5, generator=random())
    source = [int((images == image).flatten(1).all(1).nonzero()) for image in swapped]
    assert source != list(range(50))


@pytest.mark.parametrize("share", [-0.1, 1.1, 20, float("nan")])
def test_a_share_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(RecipeError, match=r"share must lie in \[0, 1\], got .*\n.*20 % is 0.2"):
        swap_cells(table(2), share=share, generator=random())


def test_ids_that_are_not_those_of_the_batch_are_refused() -> None:
    ids = {"x": torch.tensor([0, 1, 2])}
    with pytest.raises(RecipeError, match="columns names 'x', which the batch has not"):
        swap_cells(table(3), share=0.5, generator=random(), columns=ids)
    with pytest.raises(RecipeError, match=r"'x' has \[3\] ids for \[2000, 4\]"):
        swap_cells({"x": table(4)}, share=0.5, generator=random(), columns=ids)
    with pytest.raises(DataError, match="no rows to swap cells between"):
        swap_cells(torch.empty(0, 3), share=0.5, generator=random())
