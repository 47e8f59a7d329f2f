from __future__ import annotations

import numpy as np
import pytest
import torch

from alnico.errors import DataError
from alnico.merging.memory import within_memory

TOO_MUCH = 2**50


@pytest.mark.parametrize("ask", [lambda: np.empty(TOO_MUCH), lambda: torch.empty(TOO_MUCH)])
def test_a_tensor_that_memory_cannot_hold_is_named(ask: object) -> None:
    with (
        pytest.raises(
            DataError, match=r"^head needs more memory than there is\n  help: alnico plan"
        ),
        within_memory("head"),
    ):
        ask()  # type: ignore[operator]


def test_other_errors_pass_as_they_are() -> None:
    for kind in (RuntimeError, ValueError, KeyboardInterrupt):
        with pytest.raises(kind, match=r"^this$"), within_memory("head"):
            raise kind("this")
