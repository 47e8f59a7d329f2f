from __future__ import annotations

import numpy as np
import pytest
import torch

from alnico.tensors import statistics
from alnico.tensors.statistics import gram


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 4), (0, 2)])
def test_it_is_numpys_inner_product_in_float64(shape: tuple[int, ...]) -> None:
    stack = torch.randn(3, *shape)
    flat = stack.numpy().reshape(3, int(np.prod(shape))).astype(np.float64)
    found = gram(stack)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), flat @ flat.T, rtol=1e-12)


def test_blocks_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = torch.randn(2, 5, 20)
    whole = gram(stack)
    monkeypatch.setattr(statistics, "_BLOCK", 7)
    torch.testing.assert_close(gram(stack), whole)


def test_float64_keeps_what_float32_would_lose() -> None:
    stack = torch.full((1, 1 << 20), 0.1)
    exact = float(np.float32(0.1)) ** 2 * (1 << 20)
    assert gram(stack).item() == pytest.approx(exact, rel=1e-12)
