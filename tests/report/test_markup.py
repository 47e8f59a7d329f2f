from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from alnico.report.markup import Html, join, pair, pairs, section, table, tag


def test_text_is_escaped_and_html_is_not() -> None:
    made = tag("p", "a < b & c", tag("b", '"x"'), None)
    assert made == "<p>a &lt; b &amp; c<b>&quot;x&quot;</b></p>"
    assert join(["<i>", Html("<hr>")]) == "&lt;i&gt;<hr>"
    assert isinstance(made, Html) and isinstance(join([]), Html)


def test_attributes_are_escaped_and_named_as_html_does() -> None:
    made = tag("div", class_='a"b', aria_label="<x>", tabindex=0, id=None)
    assert made == '<div class="a&quot;b" aria-label="&lt;x&gt;" tabindex="0"></div>'


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.seen.append(data)


@given(
    text=st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), min_size=1)
)
def test_a_parser_reads_back_any_text(text: str) -> None:
    reader = _Reader()
    reader.feed(tag("p", text, title=text))
    reader.close()
    assert reader.seen[0] == ("p", [("title", text)])
    assert "".join(map(str, reader.seen[1:])) == text


def test_a_table_says_what_it_shows_and_can_be_reached_by_keyboard() -> None:
    made = table([tag("th", "a")], [[tag("td", "1")], [tag("td", "2")]], caption="Rows & more")
    assert made.count("<tr>") == 3
    assert '<caption class="unseen">Rows &amp; more</caption>' in made
    assert 'role="region" aria-label="Rows &amp; more" tabindex="0"' in made


def test_pairs_leave_out_what_stands_for_nothing() -> None:
    made = pairs([("a", "1"), ("b", None), ("c", "")])
    assert made == "<dl><div><dt>a</dt><dd>1</dd></div></dl>"
    assert pair(tag("i"), tag("b")) == '<div class="pair"><i></i><b></b></div>'


def test_a_section_is_named_by_its_heading() -> None:
    made = section("x", "Title", "text", None)
    assert made == (
        '<section id="x" aria-labelledby="x-title"><h2 id="x-title">Title</h2>text</section>'
    )
