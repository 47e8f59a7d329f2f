from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from alnico import progress
from alnico.errors import IncompatibleModelsError, RecipeError
from alnico.merging import merge_modules, merge_states


def states(n: int = 2) -> list[dict[str, torch.Tensor]]:
    return [{"w": torch.randn(3, 4), "b": torch.randn(3), "n": torch.tensor(7)} for _ in range(n)]


def norms(*counts: int) -> list[nn.Module]:
    modules = [nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)) for _ in counts]
    for module, count in zip(modules, counts, strict=True):
        module[1].num_batches_tracked.fill_(count)
    return modules


def test_inputs_are_not_changed_and_share_no_memory_with_the_result() -> None:
    models = states()
    before = copy.deepcopy(models)
    for one in (models, models[:1]):
        for tensor in merge_states(one).values():
            tensor.zero_()
    for model, old in zip(models, before, strict=True):
        assert all(torch.equal(model[name], old[name]) for name in old)


def test_the_result_is_differentiable_in_the_weights_alone() -> None:
    module = nn.Linear(2, 2)
    given = [dict(module.named_parameters()), dict(nn.Linear(2, 2).named_parameters())]
    weight = torch.tensor([0.3, 0.7], requires_grad=True)
    merge_states(given, weight=weight)["weight"].sum().backward()
    a, b = (float(s["weight"].sum().detach()) for s in given)
    torch.testing.assert_close(weight.grad, torch.tensor([0.7 * (a - b), 0.3 * (b - a)]))
    assert module.weight.grad is None


def test_messages_number_the_models_and_name_the_base() -> None:
    other = {**states(1)[0], "extra": torch.ones(1)}
    with pytest.raises(IncompatibleModelsError, match="only model 2 has extra; model 1 has not"):
        merge_states([*states(1), other])
    with pytest.raises(IncompatibleModelsError, match="only base has extra; model 1 has not"):
        merge_states(states(), "ties", base=other)
    with pytest.raises(RecipeError, match="there are no models"):
        merge_states([])


def test_modules_merge_into_a_new_one_in_the_mode_of_the_first() -> None:
    modules = [module.eval() for module in norms(0, 0)]
    before = copy.deepcopy(modules[0].state_dict())
    merged = merge_modules(modules, weight=[1.0, 3.0])
    assert not merged.training and merged is not modules[0]
    for name, tensor in merged.state_dict().items():
        if tensor.is_floating_point():
            a, b = (module.state_dict()[name] for module in modules)
            torch.testing.assert_close(tensor, (a + 3 * b) / 4)
        assert torch.equal(modules[0].state_dict()[name], before[name])


def test_modules_are_merged_onto_a_base_module() -> None:
    base, a, b = (nn.Linear(2, 2) for _ in range(3))
    merged = merge_modules([a, b], "task_arithmetic", base=base)
    torch.testing.assert_close(merged.weight, a.weight + b.weight - base.weight)


def test_the_same_module_twice_is_that_module() -> None:
    (module,) = norms(2)
    torch.testing.assert_close(merge_modules([module, module]).state_dict(), module.state_dict())


def test_modules_that_compute_something_else_are_warned_of() -> None:
    relu, tanh = (nn.Sequential(nn.Linear(2, 2), kind()) for kind in (nn.ReLU, nn.Tanh))
    heard: list[progress.Event] = []
    with progress.listen(heard.append):
        assert isinstance(merge_modules([relu, relu]), nn.Sequential) and not heard
        merged = merge_modules([relu, tanh, nn.Sequential(nn.Linear(2, 2))])
    assert isinstance(merged[1], nn.ReLU)
    assert [event.phase.text for event in heard] == [
        f"1 is ReLU in model 1 and {other}; the merged model has that of model 1"
        for other in ("Tanh in model 2", "none in model 3")
    ]


def test_counters_that_differ_are_told_of_modules_and_taken_silently_of_states() -> None:
    heard: list[progress.Event] = []
    modules = norms(5, 12)
    with progress.listen(heard.append):
        assert merge_modules(modules).state_dict()["1.num_batches_tracked"] == 12
        (event,) = heard
        merge_states([module.state_dict() for module in modules])
    assert event.what == "note" and len(heard) == 1
    assert event.phase.text == "counters that differ take the largest value: 1.num_batches_tracked"
