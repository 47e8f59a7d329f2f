from __future__ import annotations

import numpy as np
import pytest
import torch

from alnico.checkpoint.reader import DTYPES
from alnico.checkpoint.small_floats import FLOATS_OF_A_BYTE, values_of


@pytest.mark.parametrize("dtype", sorted(FLOATS_OF_A_BYTE))
def test_every_code_has_the_value_that_torch_gives_it(dtype: str) -> None:
    codes = torch.arange(256).to(torch.uint8)
    expected = codes.view(DTYPES[dtype]).float().numpy()
    found = values_of(dtype)
    np.testing.assert_array_equal(found, expected)
    is_number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found)[is_number], np.signbit(expected)[is_number])


def test_the_table_cannot_be_changed_by_mistake() -> None:
    with pytest.raises(ValueError, match="read-only"):
        values_of("F8_E4M3")[0] = 1
