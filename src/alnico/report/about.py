"""The end of the page: how the rows were split, what was left out, versions and hashes."""

from __future__ import annotations

from alnico.report import words
from alnico.report.facts import Facts
from alnico.report.markup import Html, join, pairs, section, tag
from alnico.runs import RUN


def about(facts: Facts) -> Html:
    """Everything that says where the figures come from."""
    return join([_data(facts), _origin(facts)])


def _data(facts: Facts) -> Html:
    split, record = facts.record["split"], facts.record
    schema = record["encoder"]["schema"]
    parts = ", ".join(f"{words.count(split[part])} {part}" for part in ("train", "valid", "test"))
    kinds: dict[str, list[str]] = {}
    for column in schema["columns"]:
        kinds.setdefault(column["type"], []).append(column["name"])
    leaks = [
        tag("li", f"{leak['column']} gives the target away: {leak['metric']} {leak['score']:.3f}")
        for leak in record["leaks"]
    ]
    return section(
        "data",
        "The data",
        pairs(
            [
                ("table", record["table"]["source"]),
                ("rows", f"{parts} (the parts of the split)"),
                ("split", split["how"]),
                ("target", facts.target),
                *((f"{kind} columns", ", ".join(names)) for kind, names in kinds.items()),
                ("left out", "; ".join(f"{c['name']} ({c['why']})" for c in schema["dropped"])),
            ]
        ),
        tag("h3", "Leaks"),
        tag("ul", *leaks)
        if leaks
        else tag("p", "No column that was used gives the target away by itself."),
    )


def _origin(facts: Facts) -> Html:
    record = facts.record
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    hashes = [("table", record["table"]["sha256"])]
    hashes += [(name, str(said["sha256"])) for name, said in facts.run.files.items()]
    return section(
        "origin",
        "Where this comes from",
        pairs(
            [
                ("run folder", facts.run.folder.resolve().name),
                ("written", record["created"]),
                ("took", f"{words.seconds(record['seconds'])}, {record['threads']} threads"),
                ("seed", str(record["seed"])),
                ("versions", versions),
            ]
        ),
        tag("h3", "SHA-256"),
        tag("div", pairs(hashes), class_="hashes"),
        tag("p", f"Every figure of this page is in {RUN}, or follows from it.", class_="muted"),
    )
