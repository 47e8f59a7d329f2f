"""An HTML file that opens offline: it says what it may do, and asks nothing of any host."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files

from alnico.report.markup import Html, join, tag


def document(
    title: str, body: Html, *, scripts: Sequence[Html] = (), styles: Sequence[str] = ("page.css",)
) -> str:
    """A whole file.

    Args:
        title: What a browser calls it.
        body: What it shows.
        scripts: What runs once it is there; nothing else can.
        styles: The templates that say how it looks.
    """
    return "".join(
        [
            "<!doctype html>\n",
            '<html lang="en">',
            _head(title, scripts, styles),
            tag("body", body, *(tag("script", script) for script in scripts)),
            "</html>\n",
        ]
    )


def template(name: str) -> Html:
    """A part of pages that is no Python: a style sheet, or a script."""
    return Html((files("alnico.report") / "templates" / name).read_text("utf-8"))


def _head(title: str, scripts: Sequence[Html], styles: Sequence[str]) -> Html:
    """Title, style, and what the page may do: run these scripts, and load nothing at all."""
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts) or "'none'"
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return join(
        [
            Html("<head>"),
            Html('<meta charset="utf-8">'),
            Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
            Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Html('<meta name="color-scheme" content="light dark">'),
            tag("title", title),
            *(tag("style", template(style)) for style in styles),
            Html("</head>"),
        ]
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
