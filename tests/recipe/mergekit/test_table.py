from __future__ import annotations

import pytest

from alnico.recipe.mergekit.table import ALL_PARAMETERS, CONTRACTS, REQUIRED, Kind, Scope

SCOPES: dict[Scope, str] = {"shared": "shared", "input": "input", "changed": "non_base"}


def test_there_are_twenty_methods() -> None:
    assert len(CONTRACTS) == 20
    assert {"weight", "lambda", "gamma", "select_topk"} <= ALL_PARAMETERS


def test_every_contract_is_mergekits() -> None:
    kit = pytest.importorskip("mergekit.merge_methods")
    base = pytest.importorskip("mergekit.merge_methods.base")
    unset = kit.get("slerp").spec.parameters[0].default
    for name, ours in CONTRACTS.items():
        theirs = kit.get(name).spec
        assert ours.base == theirs.contract.base.value, name
        assert (theirs.optional_tensor_policy is base.OptionalTensorPolicy.ERROR) == (
            ours.lone == "never"
        ), name
        assert [p.name for p in theirs.parameters] == list(ours.parameters) or set(
            ours.parameters
        ) == {p.name for p in theirs.parameters}, name
        for parameter in theirs.parameters:
            mine = ours.parameters[parameter.name]
            default = REQUIRED if parameter.default is unset else parameter.default
            assert mine.default == default, (name, parameter.name)
            assert SCOPES[mine.scope] == parameter.scope.value, (name, parameter.name)
            kind: Kind = float if parameter.name == "scale" else parameter.value_type
            assert mine.kind is kind, (name, parameter.name)


@pytest.mark.parametrize("name", CONTRACTS)
def test_mergekit_takes_the_same_numbers_of_models(name: str) -> None:
    contract = pytest.importorskip("mergekit.merge_methods").get(name).spec.contract
    for n_models in range(1, 5):
        for has_base in (False, True):
            if contract.base.value == "ignored" and has_base:
                continue
            others = n_models - has_base
            fits = n_models >= contract.min_inputs
            fits &= contract.max_inputs is None or n_models <= contract.max_inputs
            fits &= contract.min_non_base is None or others >= contract.min_non_base
            fits &= contract.max_non_base is None or others <= contract.max_non_base
            fits &= contract.base.value != "required" or has_base
            assert (CONTRACTS[name].fault(n_models, has_base=has_base) is None) == fits, n_models


def test_a_wrong_number_of_models_is_told_in_words() -> None:
    assert CONTRACTS["slerp"].fault(3, has_base=True) == (
        "slerp merges 2 models, base_model among them; got 3"
    )
    assert CONTRACTS["ties"].fault(2, has_base=False) == (
        "ties merges changes from a base, and no base_model is among the models"
    )
    assert CONTRACTS["nuslerp"].fault(2, has_base=True) == (
        "nuslerp merges 3 models, base_model among them; got 2"
    )
    assert CONTRACTS["multislerp"].fault(1, has_base=True) == (
        "multislerp merges at least 2 models, base_model among them; got 1"
    )
    assert CONTRACTS["passthrough"].fault(2, has_base=False) == (
        "passthrough merges 1 model, base_model among them; got 2"
    )
