"""The card of a merged model, its README.md: what it was made of and how, to make it again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from alnico.checkpoint.files import writing

_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?( \(.+\*\))?")
_PLACE = re.compile(r"""(?<![\w./~-])(?:~?/(?!/)|[A-Za-z]:[\\/])[^\s"',\[\]{}#]+""")


def write_card(
    folder: Path,
    *,
    title: str,
    method: str,
    recipe_yaml: str,
    models: Sequence[Mapping[str, object]],
    base: Mapping[str, object] | None,
    seed: int | None,
    versions: Mapping[str, str],
    notes: Sequence[str] = (),
) -> None:
    """Write the card of a merged model.

    It says nothing of the machine: of an absolute path only the last part is kept, in the recipe,
    too.

    Args:
        folder: The model's; it is of transformers if there is a `config.json`.
        title: Its heading.
        method: The method's name.
        recipe_yaml: What to give to `alnico merge` to make it again; empty if it is not known.
        models: Of each model the `path`, or the name on a hub; if known, the `revision`, and under
            `files` the digest of each file.
        base: The same of the base.
        seed: Of the random numbers, if there were any.
        versions: Package -> version.
        notes: What else there is to know, a line each.

    Raises:
        OutputError: If it cannot be written.
    """
    parents = [*models, *([] if base is None else [base])]
    paths = [str(parent["path"]) for parent in parents]
    made = [f"Seed {seed}"] * (seed is not None) + [f"{k} {v}" for k, v in versions.items()]
    parts = [
        _front_matter(paths, is_transformers=(folder / "config.json").is_file()),
        f"# {_line(title)}",
        f"A merge of {len(models)} model{'s' * (len(models) != 1)} by `{method}`, made with "
        "alnico. No weight was trained for it.",
        "\n".join(_table(models, base)),
        "## Recipe" if recipe_yaml else "",
        _code_block(_without_places(recipe_yaml, paths)) if recipe_yaml else "",
        ", ".join(made) + "." if made else "",
        "## Notes" if notes else "",
        "\n".join(f"- {_line(_without_places(text, paths))}" for text in notes),
    ]
    path = folder / "README.md"
    with writing(path):
        path.write_text("\n\n".join(part for part in parts if part) + "\n", "utf-8")


def _front_matter(paths: Iterable[str], *, is_transformers: bool) -> str:
    """What a hub reads; strings in JSON are strings in YAML."""
    named = dict.fromkeys(path.split(" ")[0].split("@")[0] for path in paths if _is_hub_name(path))
    lines = ["base_model:", *(f"- {json.dumps(name)}" for name in named)] if named else []
    if is_transformers:
        lines.append("library_name: transformers")
    return "\n".join(["---", *lines, "tags:", "- merge", "- alnico", "---"])


def _table(
    models: Sequence[Mapping[str, object]], base: Mapping[str, object] | None
) -> Iterator[str]:
    yield "| | model | revision | file | digest |"
    yield "|---|---|---|---|---|"
    parents = [(str(i), model) for i, model in enumerate(models, start=1)]
    for label, parent in [*parents, *([] if base is None else [("base", base)])]:
        files = parent.get("files")
        rows = files.items() if isinstance(files, Mapping) and files else [("", "")]
        for file, digest in rows:
            cells = (_shown(str(parent["path"])), parent.get("revision") or "", file, digest)
            yield f"| {label} | {' | '.join(_cell(str(cell)) for cell in cells)} |"


def _cell(text: str) -> str:
    plain = _line(text).replace("`", "'").replace("|", "\\|")
    return f"`{plain}`" if plain else ""


def _line(text: str) -> str:
    return " ".join(text.split())


def _code_block(text: str) -> str:
    ticks = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, ticks + 1)
    return f"{fence}yaml\n{text.strip()}\n{fence}"


def _is_hub_name(path: str) -> bool:
    found = _HUB.fullmatch(path)
    return found is not None and not Path(path.removesuffix(found[2] or "")).exists()


def _shown(path: str) -> str:
    """A path without what it says of the machine."""
    if path.startswith(("/", "~")) or PureWindowsPath(path).drive:
        return (PureWindowsPath if "\\" in path else PurePosixPath)(path).name
    return path


def _without_places(text: str, paths: Iterable[str]) -> str:
    """A text in which of every absolute path only the last part is left."""
    for path in sorted(paths, key=len, reverse=True):  # a path may hold blanks
        text = text.replace(path, _shown(path))
    return _PLACE.sub(lambda found: _shown(found[0].rstrip("/\\")) or found[0], text)
