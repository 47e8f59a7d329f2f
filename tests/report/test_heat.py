from __future__ import annotations

from html.parser import HTMLParser

import pytest

from alnico.report.heat import Strip, heat_map


class Cells(HTMLParser):
    """Strips of a heat map: the classes, shares and texts of their cells; what stands below."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.strips: list[list[tuple[str | None, str | None, str | None]]] = []
        self.ticks: list[str] = []
        self._place = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag in ("div", "figcaption"):
            self._place = found.get("class") or ""
            self.strips += [[]] if self._place == "cells" else []
        if tag == "i":
            share = (found.get("style") or "").removeprefix("--share:") or None
            self.strips[-1].append((found.get("class"), share, found["data-said"]))
        if tag == "span" and self._place == "ticks":
            self.ticks.append("")

    def handle_data(self, data: str) -> None:
        if self._place == "ticks" and self.ticks:
            self.ticks[-1] += data


def draw(
    *strips: Strip, names: tuple[str, ...] = ("x", "y"), ticks: list[str] | None = None
) -> str:
    shown = ticks or [""] * len(names)
    return heat_map(strips, names, shown, alt="All & more", caption="Said <below>")


def test_the_farthest_value_is_full_and_the_middle_has_no_colour() -> None:
    strip = Strip("distance", [0.0, 0.1, 0.4, None])
    (cells,) = Cells(draw(strip, names=("a", "b", "c", "d"))).strips
    assert [share for _, share, _ in cells] == ["0%", "25%", "100%", None]
    assert [class_ for class_, _, _ in cells] == [None, None, None, "none"]
    assert [said for _, _, said in cells] == ["a  0", "b  0.100", "c  0.400", "d  -"]


def test_what_is_below_the_middle_has_another_colour() -> None:
    (cells,) = Cells(draw(Strip("signs", [0.25, 0.75], 0.5, 0.5))).strips
    assert [cell[:2] for cell in cells] == [("below", "50%"), (None, "50%")]


def test_a_reach_holds_the_scale_and_strips_of_one_name_share_theirs() -> None:
    strips = (
        Strip("cosine", [0.01, -0.02], reach=1.0, scale="cosine"),
        Strip("A", [1.0, 2.0], scale="distance"),
        Strip("B", [4.0, 3.0], scale="distance"),
        Strip("rank", [8.0, 4.0], scale="rank"),
    )
    shares = [[share for _, share, _ in cells] for cells in Cells(draw(*strips)).strips]
    assert shares == [["1%", "2%"], ["25%", "50%"], ["100%", "75%"], ["100%", "50%"]]


@pytest.mark.parametrize("values", [[0.0, 0.0], [None, None]])
def test_a_strip_without_any_difference_is_drawn(values: list[float | None]) -> None:
    (cells,) = Cells(draw(Strip("x", values))).strips
    assert len(cells) == 2


def test_a_strip_says_its_range() -> None:
    text = draw(Strip("distance", [0.5, 0.125]), Strip("rank", [None, None]))
    assert "<span>distance</span><span>0.125 to 0.500</span>" in text
    assert "<span>rank</span><span></span>" in text


def test_ticks_are_as_many_as_there_is_room_for() -> None:
    names = tuple(f"layer {i}" for i in range(31))
    ticks = ["", *map(str, range(30))]
    shown = Cells(draw(Strip("x", [1.0] * 31), names=names, ticks=ticks)).ticks
    assert [tick for tick in shown if tick] == [str(i) for i in range(0, 30, 3)]
    assert len(shown) == 31 and shown[1] == "0"


def test_names_and_words_are_escaped() -> None:
    evil = "</i><script>alert(1)</script>\"'"
    text = draw(Strip(evil, [1.0, 2.0]), names=(evil, "y"))
    assert "<script" not in text and "Said &lt;below&gt;" in text
    assert 'role="img"' in text and 'aria-label="All &amp; more"' in text
    assert Cells(text).strips[0][0][2] == f"{evil}  1"
