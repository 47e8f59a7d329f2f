from __future__ import annotations

import base64
import hashlib

import pytest

from alnico.report.document import document, template
from alnico.report.markup import Html, tag


def rules(found: object) -> dict[str, str]:
    (policy,) = (m["content"] for m in found.named("meta") if "http-equiv" in m)  # type: ignore[attr-defined]
    return dict(rule.strip().split(" ", 1) for rule in policy.split(";"))


def test_it_has_the_body_and_a_title_that_is_escaped(read_page: type) -> None:
    text = document("<b> & more", tag("p", "hello"))
    assert text.startswith("<!doctype html>\n<html lang=")
    assert "<title>&lt;b&gt; &amp; more</title>" in text and "<body><p>hello</p></body>" in text
    names = [name for name, _ in read_page(text).elements]
    assert names[:2] == ["html", "head"] and names[-2:] == ["body", "p"]


def test_without_scripts_nothing_may_run(read_page: type) -> None:
    found = rules(read_page(document("x", tag("p"))))
    assert found["script-src"] == "'none'" and found["default-src"] == "'none'"


def test_scripts_are_allowed_by_their_hash_and_come_last(read_page: type) -> None:
    scripts = (Html("let a = 1;"), Html("a += 1;"))
    text = document("x", tag("p"), scripts=scripts)
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert rules(read_page(text))["script-src"] == " ".join(f"'sha256-{h}'" for h in hashes)
    assert text.endswith("<script>let a = 1;</script><script>a += 1;</script></body></html>\n")


@pytest.mark.parametrize("name", ["page.css", "heat.css", "page.js"])
def test_templates_load_nothing(name: str) -> None:
    text = template(name)
    assert len(text) > 100
    assert not any(word in text for word in ("http", "url(", "@import", "</"))


def test_styles_stand_in_their_order() -> None:
    text = document("x", tag("p"), styles=("page.css", "heat.css"))
    assert text.index(template("page.css")) < text.index(template("heat.css"))
