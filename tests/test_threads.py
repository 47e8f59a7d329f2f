from __future__ import annotations

import pytest
import torch

from alnico.threads import few_threads


@pytest.mark.parametrize(("n_numbers", "expected"), [(1_000, 1), (10**8, 2)])
def test_small_operations_get_one_thread_and_large_ones_all(n_numbers: int, expected: int) -> None:
    torch.set_num_threads(2)
    with few_threads(n_numbers):
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == 2


def test_the_number_is_put_back_after_an_error() -> None:
    torch.set_num_threads(2)
    with pytest.raises(ValueError, match="inside"), few_threads(1):
        raise ValueError("inside")
    assert torch.get_num_threads() == 2
