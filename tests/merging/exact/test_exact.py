from __future__ import annotations

import pickle
import warnings

import pytest

from alnico.merging.exact import exact


def test_mergekits_methods_are_all_there() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mergekit = pytest.importorskip("mergekit.merge_methods")
    assert {method.spec.name for method in mergekit.registered_methods()} == exact.keys()
    assert len(exact) == 20


@pytest.mark.parametrize("name", exact)
def test_a_method_is_called_by_its_name_and_says_what_it_does(name: str) -> None:
    method = exact[name]
    assert method.name == name == method.function.__name__
    assert method.function.__doc__
    assert pickle.loads(pickle.dumps(method)) == method
