from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest

from alnico.report.chart import HOVER, Chart, axis, draw, label, lines


def chart(**more: object) -> Chart:
    values = {"traces": [{"type": "scatter", "x": [1], "y": [2]}], "layout": {"xaxis": axis("x")}}
    return Chart("name", "What it shows", "Caption.", **(values | more))  # type: ignore[arg-type]


def data(made: str) -> dict:
    found = re.search(r'<script type="application/json" id="name-data">(.*?)</script>', made)
    assert found is not None
    return json.loads(found[1])


def test_a_chart_has_its_place_its_words_and_its_data() -> None:
    made = draw(chart(height=123))
    assert 'role="img" aria-label="What it shows" style="height:123px"' in made
    assert "<figcaption>Caption.</figcaption>" in made and "<select" not in made
    found = data(made)
    assert found["data"] == [{"type": "scatter", "x": [1], "y": [2]}]
    assert found["layout"]["xaxis"]["title"]["text"] == "x"


def test_choices_are_offered_if_there_are_several() -> None:
    made = draw(chart(choices=["mlp", "<b>"], choose="Architecture"))
    assert '<label class="choose">Architecture <select id="name-choice">' in made
    assert '<option value="&lt;b&gt;">&lt;b&gt;</option>' in made
    assert "<select" not in draw(chart(choices=["mlp"]))


@pytest.mark.parametrize("text", ["</script><script>alert(1)</script>", "<!--", "&lt;", "]]>"])
def test_nothing_in_the_data_ends_the_script(text: str) -> None:
    made = draw(chart(traces=[{"name": text, "text": [text]}]))
    assert made.count("</script") == 1 and "<!--" not in made
    assert data(made)["data"] == [{"name": text, "text": [text]}]


def test_numbers_are_short_and_what_is_not_finite_is_a_gap() -> None:
    values = np.array([1 / 3, math.nan, math.inf, -1e-20])
    made = draw(chart(traces=[{"y": values, "n": np.int64(3), "f": np.float64(0.1), "t": (1,)}]))
    assert data(made)["data"] == [{"y": [0.333333, None, None, -1e-20], "n": 3, "f": 0.1, "t": [1]}]


def test_a_name_from_the_run_is_no_markup_of_plotly() -> None:
    assert label("<a href='javascript:x'>") == "&lt;a href='javascript:x'&gt;"
    assert label("x" * 99) == "x" * 57 + "..."
    assert label(0.5) == "0.5" and lines("a", "b") == "a<br>b" and HOVER.startswith("%{text}")
