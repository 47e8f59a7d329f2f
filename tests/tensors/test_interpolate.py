from __future__ import annotations

import math

import pytest
import torch

from alnico.tensors.interpolate import cosine, cosines, spherical
from alnico.tensors.statistics import gram


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


def test_where_the_way_becomes_straight_can_be_said() -> None:
    nearly = torch.tensor(math.cos(0.01), dtype=torch.float64)
    bent = spherical(nearly, 0.3, straight=1 - 1e-12)
    expected = [math.sin(share * 0.01) / math.sin(0.01) for share in (0.7, 0.3)]
    assert [float(c) for c in bent] == pytest.approx(expected, rel=1e-9)
    assert [float(c) for c in spherical(nearly, 0.3)] == [0.7, 0.3]


def test_cosines_are_those_of_torch() -> None:
    stack = torch.randn(4, 30)
    expected = torch.nn.functional.cosine_similarity(stack[:, None], stack[None], dim=2)
    found = cosines(gram(stack))
    torch.testing.assert_close(found.float(), expected)
    assert found.abs().max() <= 1.0
    products = gram(stack)
    one = cosine(products[0, 1], products[0, 0], products[1, 1])
    torch.testing.assert_close(one, found[0, 1])


def test_a_tensor_of_zeros_is_at_right_angles_to_all_or_at_no_angle() -> None:
    products = gram(torch.tensor([[1.0, 2.0], [0.0, 0.0]]))
    torch.testing.assert_close(cosines(products), torch.tensor([[1.0, 0.0], [0.0, 0.0]]).double())
    assert cosine(products[0, 1], products[0, 0], products[1, 1]).isnan()
