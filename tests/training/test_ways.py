from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alnico.errors import IncompatibleModelsError
from alnico.training.optimisers import Setting
from alnico.training.ways import Asked, Choice, choose, learners


def perceptron(width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Linear(5, width), nn.ReLU(), nn.Linear(width, 2))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRU(5, 4, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.cell(x.unsqueeze(-2))[0][..., -1, :])
        return out


def convolution() -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(6, 2))


def decide(
    asked: Asked, modules: list[nn.Module], *, n: int = 16, settings: list[Setting] | None = None
) -> Choice:
    k = len(modules)
    settings = settings or [Setting(seed=seed) for seed in range(k)]
    batch = (torch.randn(k, n, 5), torch.randint(2, (k, n)))
    return choose(asked, modules, settings, lambda: batch, F.cross_entropy)


def members(choice: Choice) -> list[int]:
    return [member for part in choice.parts for member in part]


def test_the_loop_is_taken_when_asked_for_without_a_look_at_the_data() -> None:
    def nothing() -> tuple[Tensor, Tensor]:
        raise AssertionError("a batch was read")

    modules = [perceptron(), perceptron()]
    choice = choose("loop", modules, [Setting()] * 2, nothing, F.cross_entropy)
    assert (choice.parts, choice.way, choice.why) == (((0,), (1,)), "loop", "asked for")


@pytest.mark.parametrize("asked", ["auto", "rule"])
def test_one_member_and_unlike_members_are_looped(asked: Asked) -> None:
    assert decide(asked, [perceptron()]).why == "one member"
    choice = decide(asked, [perceptron(4), perceptron(6)])
    assert (choice.way, choice.why) == ("loop", "members differ in architecture")


def test_what_cannot_be_stacked_is_mapped_if_the_clock_says_so() -> None:
    modules = [convolution() for _ in range(3)]
    assert decide("vmap", modules).way == "vmap"
    assert decide("auto", modules).way in ("vmap", "loop")
    by_rule = decide("rule", modules)
    assert by_rule.way == "loop"
    assert by_rule.why.startswith("Sequential cannot be stacked: ")


@pytest.mark.filterwarnings("default")
def test_what_can_be_neither_is_looped_and_says_so() -> None:
    choice = decide("rule", [Recurrent(), Recurrent()])
    assert choice.way == "loop"
    assert choice.why.startswith("Recurrent cannot be stacked: ")


def test_an_order_that_cannot_be_followed_is_an_error() -> None:
    with pytest.raises(IncompatibleModelsError, match="'stacked': Sequential cannot be stacked"):
        decide("stacked", [convolution(), convolution()])
    with pytest.raises(IncompatibleModelsError, match="differ in architecture") as caught:
        decide("vmap", [perceptron(4), perceptron(6)])
    assert "auto" in str(caught.value.help)


@pytest.mark.parametrize("asked", ["stacked", "vmap"])
def test_an_order_takes_all_members_at_once(asked: Asked) -> None:
    choice = decide(asked, [perceptron() for _ in range(5)])
    assert (choice.parts, choice.way) == (((0, 1, 2, 3, 4),), asked)


def test_members_of_one_optimiser_stand_side_by_side() -> None:
    names = ("sgd", "adam", "sgd", "adam", "sgd")
    settings = [Setting(name, seed=seed) for seed, name in enumerate(names)]
    choice = decide("stacked", [perceptron() for _ in names], settings=settings)
    assert choice.parts == ((1, 3, 0, 2, 4),)


@pytest.mark.parametrize(
    ("threads", "n", "sizes"),
    [(1, 256, [4, 4]), (2, 256, [8]), (2, 1024, [2, 2, 2, 2]), (1, 1024, [1] * 8), (2, 16, [8])],
)
def test_the_rule_takes_parts_whose_batches_lie_in_the_cache(
    monkeypatch: pytest.MonkeyPatch, threads: int, n: int, sizes: list[int]
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    choice = decide("rule", [perceptron() for _ in range(8)], n=n)
    assert [len(part) for part in choice.parts] == sizes
    assert choice.way == ("loop" if sizes[0] == 1 else "stacked")
    assert choice.why.startswith("rule: ")
    assert sorted(members(choice)) == list(range(8))


def test_the_rule_makes_parts_of_like_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    choice = decide("rule", [perceptron() for _ in range(9)], n=256)
    assert sorted(len(part) for part in choice.parts) == [4, 5]


def test_the_clock_decides_among_the_loop_and_stacks_of_some_sizes() -> None:
    choice = decide("auto", [perceptron() for _ in range(8)])
    assert sorted(members(choice)) == list(range(8))
    faster = r"timed: (in parts of [24], )?\d+\.\dx faster than the loop"
    loop = "timed: nothing is faster than the loop"
    assert re.fullmatch(loop if choice.way == "loop" else faster, choice.why)


def test_eight_small_members_are_faster_together() -> None:
    # one step of these is all overhead, which a stack pays once: far from a draw
    choice = decide("auto", [perceptron() for _ in range(8)], n=8)
    assert choice.way == "stacked"


def test_choosing_leaves_modules_and_random_state_alone() -> None:
    modules = [nn.Sequential(perceptron(), nn.Dropout(0.5)) for _ in range(3)]
    before = [p.clone() for m in modules for p in m.parameters()]
    batch = (torch.randn(3, 8, 5), torch.randint(2, (3, 8)))
    state = torch.get_rng_state()
    settings = [Setting(seed=seed) for seed in range(3)]
    choose("auto", modules, settings, lambda: batch, F.cross_entropy)
    assert torch.equal(torch.get_rng_state(), state)
    after = [p for m in modules for p in m.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_learners_own_copies_of_the_members() -> None:
    modules = [perceptron() for _ in range(3)]
    choice = Choice(((2, 0), (1,)), "stacked", "")
    team = learners(choice, modules, [Setting(seed=seed) for seed in range(3)], F.cross_entropy)
    assert [learner.bundle.members for learner in team] == [[2, 0], [1]]
    assert [[s.seed for s in learner.settings] for learner in team] == [[2, 0], [1]]
    for learner in team:
        learner.bundle.flat.zero_()
    assert all(bool(m[0].weight.any()) for m in modules)
