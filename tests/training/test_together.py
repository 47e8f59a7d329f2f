from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from alnico.data.batches import Rows, epoch_order
from alnico.errors import IncompatibleModelsError, UnknownNameError
from alnico.training import Setting, Together, Training, train
from alnico.training.bundle import Bundle, flat_weights
from alnico.training.learner import Learner
from alnico.training.schedule import schedules
from alnico.training.together import average, joint, pull_, schemes
from alnico.training.ways import Asked

SCHEMES: tuple[Together, ...] = ("apart", "shared", "papa")
WAYS: tuple[Asked, ...] = ("stacked", "vmap", "loop")
N_INPUTS, EPOCHS, BATCH = 6, 3, 32

Descent = tuple[torch.optim.Optimizer, LambdaLR]


def small(seed: int, *, dropout: float = 0.0, bias: bool = True) -> nn.Module:
    torch.manual_seed(seed)
    layers = (nn.Linear(N_INPUTS, 8, bias=bias), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 3))
    return nn.Sequential(*layers).double()


def wide(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(N_INPUTS, 16), nn.SiLU(), nn.Linear(16, 3)).double()


def table(n: int = 200, seed: int = 0) -> Rows:
    inputs = torch.randn(n, N_INPUTS, generator=torch.Generator().manual_seed(seed)).double()
    return Rows(inputs, inputs[:, :3].argmax(-1))


def fit(
    modules: Sequence[nn.Module],
    together: Together,
    settings: Sequence[Setting] | None = None,
    **options: object,
) -> Training:
    given = {"epochs": EPOCHS, "batch_size": BATCH, "way": "loop", "data": table(), **options}
    settings = settings or [Setting("sgd", 0.05, seed=seed) for seed in range(len(modules))]
    return train(
        modules,
        given.pop("data"),  # type: ignore[arg-type]
        settings=settings,
        loss=F.cross_entropy,
        together=together,
        **given,  # type: ignore[arg-type]
    )


def steps(seed: int) -> list[tuple[Tensor, Tensor]]:
    """The batches of a member with that seed, over all epochs."""
    generator = torch.Generator().manual_seed(seed)
    data = table()
    orders = [epoch_order(len(data), BATCH, generator) for _ in range(EPOCHS)]
    assert isinstance(data.inputs, Tensor)
    return [(data.inputs[i], data.target[i]) for order in orders for i in order]


def descent(name: str, modules: Sequence[nn.Module], n_steps: int, rate: float) -> Descent:
    """One of torch's optimisers over all modules, and its rates by torch's scheduler."""
    parameters = [p for module in modules for p in module.parameters()]
    one: torch.optim.Optimizer = torch.optim.Adam(parameters, rate, eps=1e-8 / len(modules))
    if name == "sgd":
        one = torch.optim.SGD(parameters, rate, momentum=0.9, nesterov=True)
    return one, LambdaLR(one, lambda step: schedules["cosine"](step, n_steps))


def assert_equal(done: Training, expected: Sequence[nn.Module]) -> None:
    for trained, module in zip(done.members, expected, strict=True):
        torch.testing.assert_close(
            flat_weights(trained.module), flat_weights(module), rtol=1e-6, atol=1e-6
        )


def shared_by_hand(modules: Sequence[nn.Module], seed: int, clip: float | None) -> list[nn.Module]:
    """Autograd on the loss of the mean of logits, and an optimiser for all."""
    modules = [copy.deepcopy(module) for module in modules]
    batches = steps(seed)
    one, scheduler = descent("sgd", modules, len(batches), 0.05)
    for inputs, target in batches:
        one.zero_grad()
        F.cross_entropy(sum(m(inputs) for m in modules) / len(modules), target).backward()
        for module in modules:
            nn.utils.clip_grad_norm_(module.parameters(), clip or math.inf)
        one.step()
        scheduler.step()
    return modules


@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("way", WAYS)
def test_shared_is_autograd_on_the_mean_of_logits(way: Asked, clip: float | None) -> None:
    modules = [small(seed) for seed in range(3)]
    settings = [Setting("sgd", 0.05, seed=seed) for seed in (7, 1, 2)]
    done = fit(modules, "shared", settings, way=way, clip=clip)
    assert done.way == way
    assert_equal(done, shared_by_hand(modules, 7, clip))


def test_shared_takes_members_of_any_architecture() -> None:
    modules = [wide(0), small(1), small(2, bias=False), wide(3)]
    done = fit(modules, "shared", way="rule")
    assert done.way == "loop"
    assert_equal(done, shared_by_hand(modules, 0, None))


def papa_by_hand(modules: Sequence[nn.Module]) -> list[nn.Module]:
    """Each its own loss; after every tenth step w <- a w + (1 - a) mean, 1 - a = 0.01 factor."""
    modules = [copy.deepcopy(module) for module in modules]
    batches = [steps(seed) for seed in range(len(modules))]
    n_steps = len(batches[0])
    one, scheduler = descent("sgd", modules, n_steps, 0.05)
    for step in range(n_steps):
        one.zero_grad()
        for module, own in zip(modules, batches, strict=True):
            F.cross_entropy(module(own[step][0]), own[step][1]).backward()
        one.step()
        scheduler.step()
        if step % 10 == 9:
            a = 1 - 0.01 * schedules["cosine"](step, n_steps)
            with torch.no_grad():
                for ours in zip(*(module.parameters() for module in modules), strict=True):
                    mean = torch.stack(ours).mean(0)
                    for p in ours:
                        p.copy_(a * p + (1 - a) * mean)
    return modules


@pytest.mark.parametrize("way", WAYS)
def test_papa_pulls_every_ten_steps_as_the_paper_says(way: Asked) -> None:
    modules = [small(seed) for seed in range(3)]
    done = fit(modules, "papa", way=way)
    assert_equal(done, papa_by_hand(modules))
    alone = fit(modules, "apart", way=way)
    moved = flat_weights(done.members[0].module) - flat_weights(alone.members[0].module)
    assert moved.norm() > 1e-3  # two pulls can be told from none


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_the_mean_of_losses_is_apart_up_to_the_step_size(name: str) -> None:
    modules = [small(seed) for seed in range(3)]
    done = fit(modules, "apart", [Setting(name, 0.01, seed=seed) for seed in range(3)])
    ours = [copy.deepcopy(module) for module in modules]
    batches = [steps(seed) for seed in range(3)]
    rate = 3 * 0.01 if name == "sgd" else 0.01  # Adam's steps know nothing of the loss's scale
    one, scheduler = descent(name, ours, len(batches[0]), rate)
    for own in zip(*batches, strict=True):
        one.zero_grad()
        losses = [F.cross_entropy(m(x), y) for m, (x, y) in zip(ours, own, strict=True)]
        torch.stack(losses).mean().backward()
        one.step()
        scheduler.step()
    assert_equal(done, ours)


@pytest.mark.parametrize("together", ["shared", "papa"])
def test_one_member_learns_as_it_does_apart_to_the_last_bit(together: Together) -> None:
    def run(scheme: Together) -> Training:
        options = {"valid": table(50, seed=1), "clip": 0.5, "epochs": 4}
        return fit([small(0, dropout=0.3)], scheme, [Setting("adamw", 0.01, seed=3)], **options)

    (one,), (alone,) = run(together).members, run("apart").members
    assert one.history == alone.history
    assert torch.equal(flat_weights(one.module), flat_weights(alone.module))
    assert one.ema is not None and alone.ema is not None
    assert all(torch.equal(one.ema[name], alone.ema[name]) for name in one.ema)


def mean_of(done: Training) -> nn.Module:
    """The uniform average of the members, by hand."""
    mean = copy.deepcopy(done.members[0].module)
    states = [trained.module.state_dict() for trained in done.members]
    mean.load_state_dict({name: sum(s[name] for s in states) / len(states) for name in states[0]})
    return mean


@pytest.mark.parametrize("way", ["stacked", "loop"])
@pytest.mark.parametrize("together", ["shared", "papa"])
def test_all_keep_the_best_epoch_of_what_counts(together: Together, way: Asked) -> None:
    valid = table(60, seed=1)
    assert isinstance(valid.inputs, Tensor)
    settings = [Setting("sgd", rate, seed=1) for rate in (0.05, 0.5, 2.0)]
    options = {"epochs": 12, "patience": 2, "schedule": "constant", "valid": valid}
    start = small(5)
    done = fit([start] * 3, together, settings, way=way, **options)
    assert len({trained.best_epoch for trained in done.members}) == 1
    assert {trained.stopped for trained in done.members} == {"patience"}
    losses = [[epoch.valid_loss for epoch in trained.history] for trained in done.members]
    assert losses[0] == losses[1] == losses[2]
    best = min(losses[0])  # type: ignore[type-var]
    assert done.members[0].best_epoch == losses[0].index(best) + 1
    with torch.no_grad():
        if together == "shared":
            found = torch.stack([t.module(valid.inputs) for t in done.members]).mean(0)
        else:
            found = mean_of(done)(valid.inputs)
    assert F.cross_entropy(found, valid.target).item() == pytest.approx(best, rel=1e-9)
    train_losses = {tuple(e.train_loss for e in trained.history) for trained in done.members}
    assert len(train_losses) == (1 if together == "shared" else 3)


@pytest.mark.parametrize("together", SCHEMES)
def test_ways_agree_and_averages_and_seeds_hold_in_every_scheme(together: Together) -> None:
    settings = [Setting("sgd", 0.1, seed=0), Setting("adamw", 0.01, seed=1), Setting("sgd", 0.1)]
    runs = [
        fit([small(seed) for seed in range(3)], together, settings, way=way, valid=table(50, 1))
        for way in ("stacked", "loop", "loop")
    ]
    for stacked, loop, again in zip(*(run.members for run in runs), strict=True):
        assert loop.history == again.history
        for one, two in ((stacked.ema, loop.ema), (stacked.swa, loop.swa)):
            assert one is not None and two is not None
            torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("together", SCHEMES)
def test_the_deadline_ends_every_scheme(together: Together) -> None:
    begun = time.monotonic()
    done = fit([small(0), small(1)], together, epochs=10**6, deadline=begun + 0.2)
    assert time.monotonic() - begun < 5
    assert {trained.stopped for trained in done.members} == {"deadline"}
    assert all(trained.best_epoch >= 1 for trained in done.members)


def test_members_of_a_shared_loss_draw_their_own_dropout() -> None:
    for way in WAYS:
        done = fit([small(0, dropout=0.5)] * 2, "shared", way=way)
        one, two = (flat_weights(trained.module) for trained in done.members)
        assert not torch.allclose(one, two)
        done = fit([small(0)] * 2, "shared", way=way)
        one, two = (flat_weights(trained.module) for trained in done.members)
        torch.testing.assert_close(one, two)  # without it nothing tells them apart


@pytest.mark.parametrize("valid", [None, table(50, seed=1)])
def test_a_member_that_diverges_leaves_papa_and_the_others_go_on(valid: Rows | None) -> None:
    settings = [Setting("sgd", 0.1), Setting("sgd", 1e300, seed=1), Setting("sgd", 0.1, seed=2)]
    done = fit([small(0)] * 3, "papa", settings, way="stacked", valid=valid, epochs=5)
    one, bad, two = done.members
    assert bad.stopped == "diverged" and bad.best_epoch == 0
    assert one.stopped == two.stopped == "epochs"
    assert one.best_epoch == two.best_epoch == 5
    assert bool(flat_weights(one.module).isfinite().all())


def test_a_joint_loss_that_is_not_finite_ends_it_for_all() -> None:
    settings = [Setting("sgd", 0.1), Setting("sgd", 1e300, seed=1)]
    done = fit([small(0), small(1)], "shared", settings, valid=table(50, seed=1))
    assert [(t.stopped, t.best_epoch) for t in done.members] == [("diverged", 0)] * 2


def team(modules: Sequence[nn.Module]) -> list[Learner]:
    """A learner for each, in evaluation and with weights of their own."""
    return [
        Learner(Bundle([number], [module], "loop"), [Setting()], F.cross_entropy)
        for number, module in enumerate(modules)
    ]


def test_a_pull_is_towards_the_mean_of_finite_members() -> None:
    learners = team([small(seed) for seed in range(3)])
    learners[1].bundle.flat[0, 4] = math.inf
    one, _, two = (learner.bundle.flat[0].clone() for learner in learners)
    pull_(learners, 0.25)
    mean = (one + two) / 2
    torch.testing.assert_close(learners[0].bundle.flat[0], 0.75 * one + 0.25 * mean)
    torch.testing.assert_close(learners[2].bundle.flat[0], 0.75 * two + 0.25 * mean)


def test_the_average_has_the_mean_of_statistics_and_frozen_weights_too() -> None:
    def normed(seed: int) -> nn.Module:
        module = nn.Sequential(small(seed), nn.BatchNorm1d(3).double())
        module[0][3].weight.requires_grad_(False)
        module(torch.randn(20, N_INPUTS).double())
        return module

    modules = [normed(seed) for seed in range(3)]
    learners = team([copy.deepcopy(module) for module in modules])
    learners[2].bundle.flat[0, 0] = math.nan
    found = average(learners).state_dict()
    first, second = (module.state_dict() for module in modules[:2])
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, (first[name] + second[name]) / 2, check_dtype=False)
    assert found["1.num_batches_tracked"].dtype == torch.int64
    assert torch.equal(learners[0].bundle.modules[0][0][3].weight, first["0.3.weight"])


def test_what_cannot_be_trained_together_is_said_with_the_way_out() -> None:
    with pytest.raises(IncompatibleModelsError, match=r"module 2 \(Sequential\) differs") as caught:
        fit([small(0), small(1), wide(2)], "papa")
    assert "without together='papa'" in (caught.value.help or "")
    two = nn.Linear(N_INPUTS, 2).double()
    with pytest.raises(IncompatibleModelsError, match=r"no mean: \[32, 2\] and \[32, 3\]"):
        fit([small(0), two], "shared")
    with pytest.raises(UnknownNameError, match="there is no scheme 'share'") as unknown:
        fit([small(0)], "share")  # type: ignore[arg-type]
    assert unknown.value.help == "did you mean 'shared'?"
    assert tuple(schemes) == SCHEMES


def test_the_joint_output_is_the_mean_over_members_not_learners() -> None:
    one, two = torch.randn(3, 5, 2), torch.randn(1, 5, 2)
    expected = (one[0] + one[1] + one[2] + two[0]) / 4
    torch.testing.assert_close(joint([one, two]), expected)


def test_what_each_scheme_makes_of_four_networks_that_read_digits() -> None:
    images, labels = load_digits(return_X_y=True)
    rows = Rows(torch.from_numpy(images / 16), torch.from_numpy(labels))
    rows, test = rows.take(torch.arange(1200)), rows.take(torch.arange(1200, 1797))
    assert isinstance(test.inputs, Tensor)
    torch.manual_seed(0)
    starts = [nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10)) for _ in range(4)]
    distance, likeness, members, mean = {}, {}, {}, {}
    for together in SCHEMES:
        options = {"epochs": 25, "data": rows, "way": "stacked", "schedule": "constant"}
        done = fit([start.double() for start in starts], together, **options)
        flat = torch.stack([flat_weights(trained.module) for trained in done.members])
        distance[together] = (flat - flat.mean(0)).norm().item()
        with torch.no_grad():
            logits = torch.stack([trained.module(test.inputs) for trained in done.members])
            said = mean_of(done)(test.inputs).argmax(-1)
        likeness[together] = logits.log_softmax(-1).flatten(1).corrcoef().min().item()
        members[together] = (logits.argmax(-1) == test.target).double().mean().item()
        mean[together] = (said == test.target).double().mean().item()
    # the weights of apart have no use as a mean, those of papa have
    assert distance["papa"] < 0.7 * distance["apart"]
    assert mean["papa"] > members["papa"] - 0.01
    assert mean["apart"] < members["apart"] - 0.05
    # shared members lean on each other: none is good alone, and they say unlike things
    assert members["shared"] < members["apart"] - 0.1
    assert likeness["shared"] < likeness["apart"] - 0.3
