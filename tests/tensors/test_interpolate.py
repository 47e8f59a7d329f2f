from __future__ import annotations

import math

import pytest
import torch

from alnico.tensors.interpolate import spherical


@pytest.mark.parametrize("t", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("degrees", [3, 45, 90, 150, 177])
def test_on_the_unit_circle_it_turns_by_the_share_t(degrees: float, t: float) -> None:
    angle = math.radians(degrees)
    first, second = spherical(torch.tensor(math.cos(angle), dtype=torch.float64), t)
    x = float(first) + float(second) * math.cos(angle)
    y = float(second) * math.sin(angle)
    assert (x, y) == pytest.approx((math.cos(t * angle), math.sin(t * angle)), abs=1e-12)


@pytest.mark.parametrize("cosine", [1.0, 1.0 + 1e-12, 0.9999, -0.9999, -1.0, math.nan])
def test_it_goes_straight_where_there_is_no_arc(cosine: float) -> None:
    first, second = spherical(torch.tensor(cosine, dtype=torch.float64), 0.3)
    assert (float(first), float(second)) == pytest.approx((0.7, 0.3))


def test_arc_and_straight_line_meet_where_one_becomes_the_other() -> None:
    bent, straight = (spherical(torch.tensor(c), 0.3) for c in (0.99949, 0.99951))
    for a, b in zip(bent, straight, strict=True):
        assert float(a) == pytest.approx(float(b), abs=2e-4)
