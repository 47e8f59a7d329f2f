from __future__ import annotations

import pytest

from alnico.methods import methods
from alnico.methods._method import Value
from alnico.recipe.mergekit.table import CONTRACTS, REQUIRED
from alnico.recipe.mergekit.translate import translate

GTA: dict[str, Value | None] = {
    "int8_mask": True,
    "normalize": True,
    "rescale": True,
    "lambda": 0.5,
    "weight": [1.0, 2.0],
    "density": [0.3, 0.4],
}


def test_the_family_of_task_arithmetic_is_translated_word_by_word() -> None:
    method, found = translate(CONTRACTS["breadcrumbs"], {**GTA, "gamma": [0.01, 0.02]})
    assert method is methods["breadcrumbs"]
    assert found == {
        "normalize": "weights",
        "rescale": "l1",
        "scale": 0.5,
        "weight": [1.0, 2.0],
        "density": [0.3, 0.4],
        "outliers": [0.01, 0.02],
    }


def test_a_switch_that_is_off_is_said_so() -> None:
    found = translate(CONTRACTS["ties"], {**GTA, "normalize": False, "rescale": False})[1]
    assert (found["normalize"], found["rescale"]) == ("none", "none")


def test_what_has_no_effect_on_task_arithmetic_is_left_out() -> None:
    found = translate(CONTRACTS["task_arithmetic"], GTA)[1]
    assert found == {"normalize": "weights", "scale": 0.5, "weight": [1.0, 2.0]}


def test_epsilon_is_a_spread_for_della_and_a_threshold_for_ram() -> None:
    assert translate(CONTRACTS["della"], {**GTA, "epsilon": [0.1, 0.2]})[1]["spread"] == [0.1, 0.2]
    assert translate(CONTRACTS["ram"], {"epsilon": 1e-4})[1] == {"epsilon": 1e-4}


def test_passthrough_has_one_model_and_so_one_scale() -> None:
    assert translate(CONTRACTS["passthrough"], {"scale": [0.5]})[1] == {"scale": 0.5}


def test_sce_has_mergekits_threshold() -> None:
    found = translate(CONTRACTS["sce"], {"int8_mask": False, "select_topk": 0.7})[1]
    assert found == {"least_energy": 1e-6, "density": 0.7}


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_default_of_mergekits_is_set_and_taken(name: str) -> None:
    contract = CONTRACTS[name]
    n_models = contract.changed or {"slerp": 2, "model_stock": 2}.get(name, 1)
    given: dict[str, Value | None] = {}
    for parameter in contract.parameters.values():
        default = 0.5 if parameter.default is REQUIRED else parameter.default
        assert default is None or isinstance(default, bool | int | float)
        shared = parameter.scope == "shared" or default is None
        given[parameter.name] = default if shared else [float(default)] * n_models  # type: ignore[arg-type]
    method, found = translate(contract, given)
    assert method.check(n_models, found).keys() == {p.name for p in method.parameters}
    unsaid = {p.name for p in method.parameters} - found.keys()
    assert unsaid <= {"scale"} if name == "passthrough" else not unsaid
