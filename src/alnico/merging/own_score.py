"""A score of the user's own, from a Python file that the user names, and that is run."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from alnico.errors import RecipeError, UnknownNameError
from alnico.merging.plugin import explain, run_file
from alnico.registry import suggest

Score: TypeAlias = Callable[..., object]
"""A model, as its folder, its file or its module -> a number, or a mapping of tasks to numbers."""


def load_score(words: str) -> Score:
    """A function of a Python file, which is run; what is wrong in it is told with its line.

    What the function prints goes to stderr, because stdout is for the table.

    Args:
        words: `FILE.py:FUNCTION`.

    Raises:
        RecipeError: If there is no such file, it is not sound Python, it raises, or the function
            cannot be called with one model.
        UnknownNameError: If the file has no such function.
    """
    file, _, name = words.rpartition(":")
    path = Path(file)
    if path.suffix != ".py" or not name:
        raise RecipeError(f"{words!r} names no function of a file", help="write FILE.py:FUNCTION")
    module = run_file(path)
    known = {key: thing for key, thing in vars(module).items() if callable(thing)}
    if name not in known:
        help = suggest(name, known, all_of_them="its functions are")
        raise UnknownNameError(f"{path} has no function {name!r}", help=help)
    function: Score = known[name]
    _check_signature(function, f"{path}: {name}")

    @functools.wraps(function)
    def called(model: Path) -> object:
        try:
            with contextlib.redirect_stdout(sys.stderr):
                return function(model)
        except (Exception, SystemExit) as error:
            raise explain(path, error, help=f"{name} raised it on {model}") from error

    return called


def _check_signature(function: Score, called: str) -> None:
    try:
        signature = inspect.signature(function)
    except ValueError:  # what is not written in Python may have none
        return
    try:
        signature.bind(Path())
    except TypeError as error:
        raise RecipeError(
            f"{called} cannot be called with a model alone: {error}",
            help="give its other parameters defaults",
        ) from error
