from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from alnico import progress
from alnico.errors import DataError, RecipeError
from alnico.merging import merge


def test_the_average_of_linear_models_gives_their_average_output() -> None:
    a, b, x = nn.Linear(6, 3), nn.Linear(6, 3), torch.randn(10, 6)
    merged = merge([a, b], weight=[1.0, 3.0])
    assert isinstance(merged, nn.Linear)
    torch.testing.assert_close(merged(x), (a(x) + 3 * b(x)) / 4)


def test_modules_state_dicts_and_files_give_the_same_tensors(save: Callable[..., Path]) -> None:
    paths = [save(name) for name in ("cats", "dogs", "base")]
    states = [load_file(path) for path in paths]
    modules = [nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)) for _ in paths]
    for module, state in zip(modules, states, strict=True):
        module.load_state_dict(state)
    settings = {"weight": [1.0, 0.8], "density": 0.4}
    found = merge(states[:2], "ties", base=states[2], **settings)
    from_files = merge(paths[:2], "ties", base=paths[2], **settings)
    assert list(from_files) == list(found) and isinstance(found, dict)
    torch.testing.assert_close(from_files, found, rtol=0, atol=0)
    torch.testing.assert_close(merge([str(p) for p in paths[:2]]), merge(states[:2]))
    module = merge(modules[:2], "ties", base=modules[2], **settings)
    torch.testing.assert_close(dict(module.state_dict()), found, rtol=0, atol=0)


def test_counters_of_state_dicts_are_told() -> None:
    states = [{"num_batches_tracked": torch.tensor(n)} for n in (1, 2)]
    heard: list[progress.Event] = []
    with progress.listen(heard.append):
        assert merge(states)["num_batches_tracked"] == 2
    assert "the largest value" in heard[0].phase.text


def test_forms_are_not_mixed() -> None:
    module = nn.Linear(2, 2)
    with pytest.raises(RecipeError) as error:
        merge([module, module.state_dict(), "a.safetensors", 3])  # type: ignore[list-item]
    said = "model 1 is a module, model 2 is a state dict, model 3 is the path 'a.safetensors'"
    assert f"the models are not in one form: {said}, model 4 is an object of type int" in str(
        error.value
    )
    with pytest.raises(RecipeError, match="model 1 is a module, base is a state dict"):
        merge([module], "ties", base=module.state_dict())  # type: ignore[call-overload]


@pytest.mark.parametrize("one", [nn.Linear(2, 2), {"w": torch.ones(1)}, "a.safetensors", Path("a")])
def test_one_model_is_no_list(one: object) -> None:
    with pytest.raises(RecipeError, match="models must be a list of them, got") as error:
        merge(one)  # type: ignore[call-overload]
    assert "merge([a, b])" in str(error.value)


def test_nothing_and_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="there are no models to merge"):
        merge([])
    with pytest.raises(DataError, match=r"there is no file .*none\.safetensors"):
        merge([tmp_path / "none.safetensors"])
