"""HTML that is escaped by construction: whatever is not `Html` already is text."""

from __future__ import annotations

import html
from collections.abc import Iterable


class Html(str):
    """Text that is HTML already, and safe to put into a page as it is."""

    __slots__ = ()


def tag(name: str, *children: str | None, **attributes: str | int | None) -> Html:
    """An element with its children; text among them is escaped.

    Args:
        name: Of the element, e.g. `"p"`.
        children: What stands in it; None is left out.
        attributes: A trailing underscore is dropped and others become hyphens, so `class_` and
            `aria_label` can be written; None leaves the attribute out.
    """
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{said}>{join(children)}</{name}>")


def join(parts: Iterable[str | None]) -> Html:
    """Parts of a page one after the other; text among them is escaped."""
    return Html(
        "".join(part if isinstance(part, Html) else html.escape(part) for part in parts if part)
    )


def table(head: Iterable[Html], rows: Iterable[Iterable[Html]], *, caption: str) -> Html:
    """A table of cells that are made already.

    Args:
        head: The cells of its head.
        rows: The cells of each row.
        caption: What it shows, for those who do not see it.
    """
    lines = [tag("tr", *cells) for cells in rows]
    said = tag("caption", caption, class_="unseen")
    whole = tag("table", said, tag("thead", tag("tr", *head)), tag("tbody", *lines))
    return tag("div", whole, class_="table", role="region", aria_label=caption, tabindex=0)


def pairs(items: Iterable[tuple[str, str | None]]) -> Html:
    """A list of names and what they stand for; those that stand for nothing are left out."""
    return tag(
        "dl",
        *(tag("div", tag("dt", name), tag("dd", said)) for name, said in items if said),
    )


def pair(first: Html, second: Html) -> Html:
    """Two charts that stand side by side where there is room."""
    return tag("div", first, second, class_="pair")


def section(name: str, title: str, *parts: str | None) -> Html:
    """A part of the page with a heading that can be linked to."""
    return tag(
        "section",
        tag("h2", title, id=f"{name}-title"),
        *parts,
        id=name,
        aria_labelledby=f"{name}-title",
    )
