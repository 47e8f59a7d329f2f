from __future__ import annotations

import time

import pytest

from alnico.fitting.clock import FUSIONS_SHARE, MEMBERS_SHARE, STUDENTS_SHARE, Clock


def test_without_a_limit_everything_fits() -> None:
    clock = Clock(None)
    assert clock.has(1e9)
    assert clock.has(1e9, share=MEMBERS_SHARE)
    assert clock.deadline(0.5) is None


def test_members_get_their_share_of_the_limit_and_no_more() -> None:
    clock = Clock(100.0, began=time.monotonic() - 50)
    assert clock.has(49) and not clock.has(51)
    left = MEMBERS_SHARE * 100 - 50
    assert clock.has(left - 1, share=MEMBERS_SHARE)
    assert not clock.has(left + 1, share=MEMBERS_SHARE)


def test_what_comes_later_may_go_on_longer() -> None:
    assert 0 < MEMBERS_SHARE < FUSIONS_SHARE < STUDENTS_SHARE < 1
    clock = Clock(100.0, began=time.monotonic() - 75)
    shares = (MEMBERS_SHARE, FUSIONS_SHARE, STUDENTS_SHARE, 1.0)
    assert [clock.has(share=share) for share in shares] == [False, False, True, True]
    deadline = clock.deadline(1.0, of=STUDENTS_SHARE)
    assert deadline == pytest.approx(clock.began + 100 * STUDENTS_SHARE, abs=0.5)


def test_a_deadline_is_a_share_of_what_is_left_for_members() -> None:
    clock = Clock(100.0, began=time.monotonic() - 10)
    deadline = clock.deadline(0.5)
    assert deadline is not None
    expected = time.monotonic() + 0.5 * (MEMBERS_SHARE * 100 - 10)
    assert deadline == pytest.approx(expected, abs=0.5)


def test_no_time_left_is_a_deadline_of_now() -> None:
    clock = Clock(10.0, began=time.monotonic() - 60)
    assert clock.deadline(1.0) == pytest.approx(time.monotonic(), abs=0.5)
    assert not clock.has(0.0)
