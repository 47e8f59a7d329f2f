"""`alnico scan`: which files of a folder are safe to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alnico.cli import render
from alnico.progress import printable

if TYPE_CHECKING:
    from alnico.checkpoint.scan import Finding

_SHOWN = 5


def scan(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file or a folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: render.Quiet = False,
) -> None:
    """Say of each file whether it is safe to read; nothing is loaded or run.

    Safe: sound safetensors or JSON, weights that PyTorch saved. Unsafe: refused, such as other
    pickles; the exit code is then 4. Unknown: alnico does not read such files.
    """
    from alnico.checkpoint.scan import scan as look

    findings = look(path)
    root = path if path.is_dir() else path.parent
    names = [printable(str(finding.file.relative_to(root))) for finding in findings]
    if as_json:
        typer.echo(_as_json(path, names, findings))
    elif findings:
        typer.echo(_as_table(names, findings))
    _refuse(names, findings)
    n_safe = sum(finding.verdict == "safe" for finding in findings)
    render.say(
        f"{n_safe} of {len(findings)} files are safe to read, none is unsafe; "
        f"{len(findings) - n_safe} are not read by alnico",
        quiet=quiet,
    )


def _as_table(names: Sequence[str], findings: Sequence[Finding]) -> str:
    from alnico.evaluation.drawing import Column, draw_table

    cells = [
        [name, finding.verdict, finding.reason]
        for name, finding in zip(names, findings, strict=True)
    ]
    return draw_table([Column("file"), Column("verdict"), Column("what it is")], cells)


def _as_json(path: Path, names: Sequence[str], findings: Sequence[Finding]) -> str:
    files = [
        {
            "file": name,
            "verdict": finding.verdict,
            "reason": finding.reason,
            "help": finding.help,
        }
        for name, finding in zip(names, findings, strict=True)
    ]
    return json.dumps({"path": str(path), "files": files}, indent=1)


def _refuse(names: Sequence[str], findings: Sequence[Finding]) -> None:
    """Raise an error that names the unsafe files, if there are any."""
    from alnico.errors import UnsafeFileError

    unsafe = [pair for pair in zip(names, findings, strict=True) if pair[1].verdict == "unsafe"]
    if not unsafe:
        return
    lines = [f"{name}: {finding.reason}" for name, finding in unsafe[:_SHOWN]]
    if len(unsafe) == 1:
        raise UnsafeFileError(lines[0], help=unsafe[0][1].help)
    if len(unsafe) > _SHOWN:
        lines.append(f"... {len(unsafe) - _SHOWN} more")
    helps = dict.fromkeys(finding.help for _, finding in unsafe if finding.help)
    raise UnsafeFileError(
        "\n  ".join([f"{len(unsafe)} of {len(findings)} files are unsafe", *lines]),
        help="\n".join(helps),
    )
