"""Merge methods of one's own, from a Python file that the user names: the one code that is run.

A file that a recipe or a checkpoint names is never run.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import traceback
from pathlib import Path
from types import CodeType, ModuleType

from alnico.errors import AlnicoError, RecipeError
from alnico.methods import Method, methods

_ALNICO = Path(__file__).parents[1]


def load_plugin(path: str | Path) -> list[Method]:
    """Run a Python file of the user's and give the merge methods that it registers.

    A file that is loaded again takes the place of what it registered before.

    Args:
        path: The file.

    Returns:
        Its methods, in the order of the file; they are in `alnico.methods.methods`, too.

    Raises:
        RecipeError: If there is no such file, it is not sound Python, it raises, or it registers
            no method; with the line.
    """
    path = Path(path)
    before = {name: methods[name] for name in methods}
    run_file(path)
    found = [methods[name] for name in methods if methods[name] is not before.get(name)]
    if not found:
        raise RecipeError(
            f"{path} registers no merge method", help="decorate a function with @alnico.method()"
        )
    return found


def run_file(path: Path) -> ModuleType:
    """Run a Python file of the user's and give it as a module.

    Raises:
        RecipeError: If there is no such file, it is not sound Python, or it raises; with the line.
    """
    code = _compile(path)
    place = str(path.resolve())
    module = ModuleType("alnico_plugin_" + hashlib.sha256(place.encode()).hexdigest()[:16])
    module.__file__ = place
    sys.modules[module.__name__] = module  # where dataclasses look for the names of annotations
    try:
        exec(code, vars(module))
    except (Exception, SystemExit) as error:
        raise explain(path, error, help="it was raised while the file was loaded") from error
    return module


def _compile(path: Path) -> CodeType:
    if not path.is_file():
        raise RecipeError(f"there is no plug-in {path}", help="give a Python file")
    try:
        return compile(path.read_bytes(), str(path.resolve()), "exec", dont_inherit=True)
    except SyntaxError as error:
        text = (error.text or "").strip()
        raise RecipeError(
            f"{path}:{error.lineno}: {error.msg}" + (f"\n  {text}" if text else ""),
            help="correct the syntax of the plug-in",
        ) from error
    except ValueError as error:  # a zero byte
        raise RecipeError(f"{path} is not a text: {error}", help="give a Python file") from error


def file_of(method: Method) -> Path | None:
    """The file that a method is in, unless alnico brings it along or there is none."""
    file = Path(inspect.getfile(method.function))
    is_ours = file.is_relative_to(_ALNICO)
    return None if is_ours or not file.is_file() else file


def explain(path: Path, error: BaseException, *, help: str) -> RecipeError:
    """An error in a plug-in, with the last line of the plug-in that it passed through."""
    frames = traceback.extract_tb(error.__traceback__)
    line = next((f.lineno for f in reversed(frames) if f.filename == str(path.resolve())), 1)
    if isinstance(error, AlnicoError):
        return RecipeError(f"{path}:{line}: {error.message}", help=error.help)
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return RecipeError(f"{path}:{line}: {said}", help=help)
