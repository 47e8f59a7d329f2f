from __future__ import annotations

import re

import pytest

from alnico import errors
from alnico.errors import AlnicoError

ALL = [kind for kind in vars(errors).values() if isinstance(kind, type)]


def test_an_error_says_what_and_what_to_do() -> None:
    error = errors.RecipeError("density must lie in [0, 1], got 20", help="20 % is 0.2")
    assert str(error) == "density must lie in [0, 1], got 20\n  help: 20 % is 0.2"
    assert (error.message, error.help) == (error.args[0], "20 % is 0.2")
    assert str(AlnicoError("only what")) == "only what"


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_is_ours_and_a_builtin_as_the_tree_says(kind: type[AlnicoError]) -> None:
    caught = kind("what is wrong", help="what to do")
    assert isinstance(caught, AlnicoError)
    assert str(caught) == "what is wrong\n  help: what to do"
    drawn = re.search(rf"{kind.__name__}\((.+?)\)", errors.__doc__ or "")
    parents = [parent.__name__ for parent in kind.__bases__ if parent is not AlnicoError]
    if kind is not AlnicoError:
        assert drawn is not None and drawn[1].split(", ") == parents


def test_exit_codes_tell_input_misfit_and_danger_apart() -> None:
    codes = {kind.__name__: kind.exit_code for kind in ALL}
    assert codes.pop("IncompatibleModelsError") == 3
    assert codes.pop("UnsafeFileError") == 4
    assert set(codes.values()) == {2}


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in ALL]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z-]+", code) for code in codes)
