from __future__ import annotations

from itertools import product

import pytest
import torch

from alnico.checkpoint.reader import DTYPES
from alnico.recipe.mergekit.dtypes import promote

FLOATS = ["F64", "F32", "F16", "BF16"]


@pytest.mark.parametrize(("a", "b"), list(product(FLOATS, FLOATS)))
def test_two_dtypes_meet_where_torch_lets_them(a: str, b: str) -> None:
    assert DTYPES[promote([a, b])] is torch.promote_types(DTYPES[a], DTYPES[b])


def test_all_of_several_count() -> None:
    assert promote(["BF16", "F16", "BF16"]) == "F32"
    assert promote(["F16", "F64", "F32"]) == "F64"


def test_eight_bits_meet_sixteen_in_sixteen() -> None:
    assert promote(["F8_E4M3", "BF16"]) == "BF16"
    assert promote(["F8_E4M3", "F8_E5M2"]) == "F32"
    assert promote(["F8_E5M2", "F8_E5M2"]) == "F8_E5M2"
