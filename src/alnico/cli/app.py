"""The command `alnico`: its verbs, and the one place where an error becomes a block and a code."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib import metadata
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import alnico
from alnico.cli import render
from alnico.cli.demo import demo
from alnico.cli.diff import diff
from alnico.cli.evaluate import evaluate
from alnico.cli.events import events
from alnico.cli.fit import fit
from alnico.cli.leaderboard import leaderboard
from alnico.cli.merge import merge
from alnico.cli.methods import methods
from alnico.cli.parameters import MethodCommand
from alnico.cli.plan import plan
from alnico.cli.predict import predict
from alnico.cli.report import report
from alnico.cli.run import run
from alnico.cli.scan import scan
from alnico.errors import AlnicoError, UnknownNameError
from alnico.evaluation.drawing import WIDTH
from alnico.registry import suggest

_INTERRUPTED, _PIPE_CLOSED = 130, 141  # as a shell counts SIGINT and SIGPIPE

_MORE_MEMORY = "end other processes, or raise the limit under which this one runs: ulimit -v"

_FIRST_SCREEN = """\
alnico fuses networks into one better network, and says whether it paid.

  demo         alnico demo
  fit          alnico fit shop.csv --target buys --time-limit 5m -o run/
  report       alnico report run/
  predict      alnico predict run/ new.csv -o out.csv
  merge        alnico merge a.safetensors b.safetensors --base c.safetensors
                   --method ties --density 0.2 -o merged.safetensors
  scan         alnico scan downloads/

All verbs: alnico --help.  One verb: alnico fit --help."""


class _Verbs(TyperGroup):
    """The verbs, with a suggestion for a misspelt one."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The verb of that name."""
        if cmd_name not in self.commands:
            raise UnknownNameError(
                f"there is no command {cmd_name!r}",
                help=suggest(cmd_name, self.commands, all_of_them="commands are"),
            )
        return super().get_command(ctx, cmd_name)


app = typer.Typer(
    name="alnico",
    cls=_Verbs,
    help="Fuse networks into one: train them on a table, or merge your own checkpoints.",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH},
)
for _verb in (fit, predict, evaluate, leaderboard, report, methods, run, diff, scan, events, demo):
    app.command()(_verb)
app.command(cls=MethodCommand)(merge)
app.command(cls=MethodCommand)(plan)


@app.callback(invoke_without_command=True)
def _first_screen(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        typer.echo(f"alnico {alnico.__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(_FIRST_SCREEN)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give back its exit code.

    Args:
        arguments: What stands after `alnico`; None takes them from the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name must not break a table
    try:
        _run(words)
        sys.stdout.flush()
    except typer.Exit as end:
        return end.exit_code
    except BrokenPipeError:
        _close_pipes()
        return _PIPE_CLOSED
    except KeyboardInterrupt:
        render.say("interrupted")
        return _INTERRUPTED
    except Exception as error:
        if os.environ.get("ALNICO_TRACEBACK") == "1":
            traceback.print_exception(error)
        return _explain(error, words)
    return 0


def _run(words: list[str]) -> None:
    """Run one verb; everything that it raises reaches the caller as it is."""
    command = typer.main.get_command(app)
    with command.make_context("alnico", words) as context:
        command.invoke(context)


def _explain(error: Exception, words: list[str]) -> int:
    """Write an error's block and give back the exit code."""
    if isinstance(error, AlnicoError):
        render.show_error(error.code, error.message, help=error.help)
        return error.exit_code
    if isinstance(error, MemoryError):
        render.show_error("memory", "there is not enough memory for this", help=_MORE_MEMORY)
        return 2
    if isinstance(error, typer.TyperException):
        message, help = _describe_usage(error, words)
        render.show_error("usage", message, help=help)
        return 2
    _report_fault(error, words)
    return 1


def _describe_usage(error: typer.TyperException, words: list[str]) -> tuple[str, str]:
    """What is wrong with the arguments, and what to do."""
    context = getattr(error, "ctx", None)
    message = error.format_message().strip().rstrip(".").replace("Value error, ", "")
    path = context.command_path if context else shlex.join(["alnico", *words[:1]])
    if context and hasattr(error, "possibilities"):  # an option that the verb does not have
        option = str(getattr(error, "option_name", ""))
        known = [name for parameter in context.command.params for name in parameter.opts]
        near = suggest(option, [name for name in known if name.startswith("--")])
        return f"{path} has no option {option!r}", near
    return message[:1].lower() + message[1:], f"{path} --help"


def _report_fault(error: Exception, words: list[str]) -> None:
    """Say that it is our fault, and save what is needed to find it."""
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    report = "\n".join(
        [
            shlex.join(["alnico", *words]),
            f"python {platform.python_version()} on {platform.platform()}",
            *(f"{name} {_version(name)}" for name in ("alnico", "torch", "polars", "scikit-learn")),
            "".join(traceback.format_exception(error)),
        ]
    )
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="alnico-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(report)
        where = f"its traceback was saved to {file.name}"
    except OSError:
        where = "its traceback could not be saved; ALNICO_TRACEBACK=1 shows it"
    render.show_error(
        "fault",
        f"{what}\n  this is a fault of alnico, not yours; {where}",
        help="send that file to alnico's issue tracker; look through it first, it names your files",
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _close_pipes() -> None:
    """Point the closed streams elsewhere, so that Python's own last flush stays silent."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
