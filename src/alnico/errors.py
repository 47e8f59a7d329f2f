"""Every error that a user of alnico can meet; nothing else.

    AlnicoError
    ├── DataError(ValueError)                  a table, a column or a value cannot be used
    ├── RecipeError(ValueError)                a parameter has the wrong type or range
    ├── UnknownNameError(LookupError)          a name that nothing is registered under
    ├── RunFolderError(ValueError)             a run folder is missing, incomplete or was changed
    ├── OutputError(OSError)                   an output cannot be written, or is there already
    ├── NotFittedError(ValueError, AttributeError)
    ├── MissingExtraError(ImportError)         an optional package is not installed
    ├── IncompatibleModelsError(ValueError)    models do not fit together     (exit code 3)
    └── UnsafeFileError(ValueError)            a file is refused as unsafe    (exit code 4)

Every error says what is wrong (with the value that came), where, and in `help` what to do. Each is
an `AlnicoError` and a built-in, so that both kinds of caller catch it.
"""

from __future__ import annotations


class AlnicoError(Exception):
    """The root of every deliberate error.

    Args:
        message: What is wrong, and where.
        help: What to do about it; None if the message says it already.
    """

    code = "error"
    exit_code = 2

    def __init__(self, message: str, *, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help

    def __str__(self) -> str:
        return self.message if self.help is None else f"{self.message}\n  help: {self.help}"


class DataError(AlnicoError, ValueError):
    """A table, a column or a value cannot be used as it is."""

    code = "data"


class RecipeError(AlnicoError, ValueError):
    """A parameter has the wrong type or lies outside its range."""

    code = "recipe"


class UnknownNameError(AlnicoError, LookupError):
    """A name that nothing is registered under."""

    code = "unknown-name"


class RunFolderError(AlnicoError, ValueError):
    """A run folder is missing, incomplete, or was changed after it was written."""

    code = "run-folder"


class OutputError(AlnicoError, OSError):
    """An output cannot be written, or is there already."""

    code = "output"


class NotFittedError(AlnicoError, ValueError, AttributeError):
    """A model was asked to predict before it was fitted."""

    code = "not-fitted"


class MissingExtraError(AlnicoError, ImportError):
    """An optional package is needed that is not installed."""

    code = "missing-extra"


class IncompatibleModelsError(AlnicoError, ValueError):
    """Models differ in a way that the asked operation cannot bridge."""

    code = "incompatible-models"
    exit_code = 3


class UnsafeFileError(AlnicoError, ValueError):
    """A file was refused because reading it could do harm."""

    code = "unsafe-file"
    exit_code = 4
