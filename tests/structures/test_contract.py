from __future__ import annotations

import pytest
import torch

from alnico.errors import UnknownNameError
from alnico.probing import Outputs
from alnico.structures import Parts, row_loss, structures
from alnico.testing import check_structure
from alnico.types import Task


@pytest.mark.parametrize("name", list(structures))
def test_every_registered_structure_keeps_the_contract(name: str) -> None:
    check_structure(name)
    assert structures[name].name == name


def test_a_misspelt_structure_is_pointed_to() -> None:
    with pytest.raises(UnknownNameError, match=r"no structure 'stakcing'\n.*mean 'stacking'"):
        check_structure("stakcing")


def test_parts_are_members_side_by_side() -> None:
    outputs = [Outputs(torch.full((4, 2), float(i)), torch.randn(4, i)) for i in range(3)]
    parts = Parts.of(outputs)
    assert (len(parts), parts.logits.shape, parts.widths) == (3, (3, 4, 2), [0, 1, 2])
    some = parts.members([2, 0]).rows(torch.tensor([3, 1]))
    assert some.logits[:, 0, 0].tolist() == [2, 0] and some.widths == [2, 0]
    assert torch.equal(some.features[0], outputs[2].features[[3, 1]])


def test_the_loss_of_a_row_is_cross_entropy_or_squared_error() -> None:
    logits, target = torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]), torch.tensor([1, 2])
    expected = -logits.softmax(1).log()[[0, 1], target]
    torch.testing.assert_close(row_loss(logits, target, Task("multiclass", (0, 1, 2))), expected)
    said, wanted = torch.tensor([[1.0], [2.0]]), torch.tensor([3.0, 2.5])
    assert row_loss(said, wanted, Task("regression")).tolist() == [4.0, 0.25]
