from __future__ import annotations

import numpy as np
import pytest

from alnico.evaluation.lift import captured


def test_a_perfect_ranking_finds_as_many_as_are_contacted() -> None:
    sought = np.arange(100) >= 80
    contacted, share = captured(sought, np.arange(100.0))
    assert contacted == 10
    assert share == pytest.approx(10 / 20)


def test_the_worst_ranking_finds_none() -> None:
    sought = np.arange(100) < 20
    assert captured(sought, np.arange(100.0))[1] == 0.0


def test_equal_scores_find_what_chance_finds() -> None:
    sought = np.arange(1000) % 4 == 0
    assert captured(sought, np.zeros(1000), share=0.2)[1] == pytest.approx(0.2)


def test_it_equals_a_loop_that_breaks_draws_in_every_order() -> None:
    random = np.random.default_rng(0)
    sought = random.random(40) < 0.3
    score = np.round(random.random(40), 1)
    contacted, share = captured(sought, score, share=0.25)
    found = []
    for _ in range(4000):
        order = np.lexsort((random.random(40), -score))
        found.append(sought[order[:contacted]].sum() / sought.sum())
    assert share == pytest.approx(np.mean(found), abs=0.01)


def test_no_sought_rows_are_no_error() -> None:
    assert captured(np.zeros(5, bool), np.arange(5.0)) == (1, 0.0)
