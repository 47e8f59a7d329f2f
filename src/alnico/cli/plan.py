"""`alnico plan`: what a merge will do and what it takes, from headers alone."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from alnico.cli import flags, render
from alnico.progress import compact, sized, spaced

if TYPE_CHECKING:
    from alnico.checkpoint.downloads import Download
    from alnico.recipe.needs import Needs
    from alnico.recipe.outlook import Outlook
    from alnico.recipe.showing import Foresight

_SHOWN = 6
_INDENT, _HOW = 11, 40  # columns: of a fact's word, of what is said of tensors
_MINUTE = 60


def plan(
    context: typer.Context,
    models: flags.Models,
    output: flags.Output = None,
    base: flags.Base = None,
    method: flags.MethodName = None,
    settings: flags.Settings = None,
    plugin: flags.Plugin = None,
    tokenizer: flags.Tokenizer = None,
    dtype: flags.Dtype = None,
    shard_size: flags.ShardSize = None,
    seed: flags.Seed = None,
    threads: flags.Threads = 0,
    device: flags.Device = "cpu",
    integers_from: flags.IntegersFrom = None,
    compat: flags.Compat = None,
    strict: flags.Strict = False,
    force: flags.Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, as JSON.")] = False,
    quiet: render.Quiet = False,
) -> None:
    """Say what a recipe, or a merge, will do: nothing is fetched, and nothing is written.

    It takes the words of `alnico merge`, and reads the headers of the models alone.
    """
    from alnico.merging.execute import How
    from alnico.recipe.options import Options
    from alnico.recipe.showing import foresee

    asked = flags.read_asked(
        context,
        models,
        base=base,
        method=method,
        settings=settings,
        plugin=plugin,
        tokenizer=tokenizer,
    )
    options = Options(
        force=force,
        shard_size=flags.read_size(shard_size),
        dtype=dtype,
        seed=seed,
        integers_from=integers_from,
        exact=flags.read_compat(compat),
        strict=strict,
        how=How(threads, device),
    )
    with render.show_progress(quiet=quiet):
        found = foresee(asked, output, options=options)
    typer.echo(json.dumps(dataclasses.asdict(found), indent=1) if as_json else _draw(found))
    render.say("nothing was written", quiet=quiet)


def _draw(found: Foresight) -> str:
    parts = [_draw_downloads(found.downloads)] if found.downloads else []
    for merge in found.merges:
        title = [f"{merge.name}, for those that take it"] if merge.name is not None else []
        parts.append("\n".join([*title, _draw_fates(merge), "", *_draw_facts(merge)]))
    return "\n\n".join(parts)


def _draw_downloads(downloads: Iterable[Download]) -> str:
    from alnico.evaluation.drawing import Column, draw_table

    columns = (
        Column("to be fetched"),
        Column("revision"),
        Column("files", "right"),
        Column("size", "right"),
    )
    rows = [
        (
            one.repo,
            "not known" if one.revision is None else one.revision[:12],
            "" if one.files is None else str(one.files),
            "not known" if one.n_bytes is None else sized(one.n_bytes),
        )
        for one in downloads
    ]
    said = "What becomes of their tensors is known once they are here."
    return f"{draw_table(columns, rows)}\n{said}"


def _draw_fates(merge: Outlook) -> str:
    from alnico.evaluation.drawing import Column, draw_table

    counts = ("tensors", "values", "read", "written")
    columns = (Column("what"), Column("how"), *(Column(count, "right") for count in counts))
    rows = []
    for fate in merge.fates:
        how, *more = textwrap.wrap(fate.how, _HOW) or [""]
        cells = [spaced(fate.tensors), compact(fate.entries), _size(fate.read)]
        rows.append([fate.what, how, *cells, _size(fate.written)])
        rows += [["", line, *[""] * len(counts)] for line in more]
    return draw_table(columns, rows)


def _draw_facts(merge: Outlook) -> list[str]:
    """What was inferred from names, and what the merge takes: a word and a text each."""
    needs = merge.needs
    facts = [
        ("layers", _some(f"{prefix}* {count}" for prefix, count in merge.layers.items())),
        ("modules", _some(f"{name} {count}" for name, count in merge.modules.items())),
        ("tokens", _some(f"{name} on axis {axis}" for name, axis in merge.vocabulary.items())),
        ("tokenizer", merge.tokenizer),
        ("config", _some(f"{key} {value}" for key, value in merge.config.items())),
        ("memory", f"{sized(needs.memory)} at most{_ways(needs)}"),
        ("disk", f"{sized(needs.written)}; {sized(needs.read)} are read"),
        ("time", f"about {_lasting(needs.seconds)} on {_counted(needs.threads, 'thread')}"),
        *(("note", line) for line in merge.said),
    ]
    return [_line(word, text) for word, text in facts if text]


def _size(n_bytes: int) -> str:
    return sized(n_bytes) if n_bytes else ""


def _ways(needs: Needs) -> str:
    ways = [f"{', '.join(needs.streamed)} block by block"] if needs.streamed else []
    ways += [f"{', '.join(needs.whole)} on whole tensors"] if needs.whole else []
    return f": {'; '.join(ways)}" if ways else ""


def _line(word: str, text: str) -> str:
    from alnico.evaluation.drawing import WIDTH

    lines = textwrap.wrap(text, WIDTH - _INDENT, break_on_hyphens=False) or [""]
    return f"\n{' ' * _INDENT}".join([f"{word:<{_INDENT}}{lines[0]}", *lines[1:]])


def _some(texts: Iterable[str]) -> str:
    """The first few texts, and how many more there are."""
    found = list(texts)
    more = len(found) - _SHOWN
    return ", ".join([*found[:_SHOWN], *([f"... {more} more"] if more > 0 else [])])


def _lasting(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / _MINUTE)} min"


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"
