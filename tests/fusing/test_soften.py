from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from alnico.data.batches import Rows
from alnico.errors import IncompatibleModelsError
from alnico.fusing import soften

NOTHING = torch.zeros(60)


class Reads(nn.Module):
    """Says the first of each of its tensors."""

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return torch.stack([batch["x"][:, 0], batch["words"][:, 0].float()], 1)


def test_the_target_is_what_the_teacher_says_of_rows_and_copies() -> None:
    teacher, x = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.9)), torch.randn(60, 4)
    soft = soften(teacher, Rows(x, NOTHING), copies=2, seed=0)
    assert isinstance(soft.inputs, Tensor) and len(soft) == 180
    assert torch.equal(soft.inputs[:60], x)
    assert not torch.equal(soft.inputs[60:120], soft.inputs[120:])
    torch.testing.assert_close(soft.target, teacher[0](soft.inputs))
    assert not soft.target.requires_grad and teacher.training


def test_equal_seeds_give_equal_rows() -> None:
    teacher, rows = nn.Linear(4, 3), Rows(torch.randn(60, 4), NOTHING)
    one, same, other = (soften(teacher, rows, copies=1, seed=s).inputs for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_the_share_decides_how_far_copies_are_from_rows() -> None:
    rows = Rows(torch.randn(60, 40), NOTHING)
    for share in (0.0, 0.1, 0.9):
        x = soften(nn.Linear(40, 2), rows, copies=1, share=share, seed=0).inputs
        assert (x[60:] != x[:60]).float().mean() == pytest.approx(share, abs=0.03)


def test_lengths_go_with_the_words() -> None:
    length = torch.arange(60) % 5 + 1
    words = (torch.arange(5) < length[:, None]) * (torch.arange(60)[:, None] + 1)
    rows = Rows({"x": torch.randn(60, 2), "words": words}, NOTHING, length)
    soft = soften(Reads(), rows, copies=3, columns={"x": torch.arange(2)}, share=0.5, seed=0)
    assert not isinstance(soft.inputs, Tensor) and soft.length is not None
    assert sorted(soft.inputs) == ["words", "x"]
    assert torch.equal((soft.inputs["words"] != 0).sum(1), soft.length)
    assert not torch.equal(soft.length[60:120], length)
    assert torch.equal(soft.target[:, 1], soft.inputs["words"][:, 0].float())


@pytest.mark.parametrize(
    "rows",
    [
        Rows(torch.randn(60, 1, 4, 4), NOTHING),
        Rows(torch.randint(9, (60, 16)), NOTHING, torch.full((60,), 16)),
    ],
)
def test_an_image_or_a_text_alone_is_not_copied(rows: Rows) -> None:
    class Any(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1).float()[:, :2]

    soft = soften(Any(), rows, copies=4, seed=0)
    assert len(soft) == 60 and soft.inputs is not None
    assert soft.length is rows.length or torch.equal(soft.length, rows.length)


def test_a_teacher_that_says_nan_is_refused() -> None:
    x = torch.randn(60, 4)
    x[7, 2] = torch.nan
    with pytest.raises(IncompatibleModelsError, match=r"the teacher says NaN .* 1 of 60 rows"):
        soften(nn.Linear(4, 2), Rows(x, NOTHING), copies=0, seed=0)
