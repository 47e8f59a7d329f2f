"""The search: each trial trains one more family; then which members feed which fusion."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from alnico.errors import RecipeError
from alnico.fitting.clock import FUSIONS_SHARE, MEMBERS_SHARE, Clock
from alnico.fitting.kinds import Bench
from alnico.fitting.kinds.joined import crossfit_structure, join
from alnico.fitting.members import TrainedGroup
from alnico.fitting.options import Options
from alnico.fitting.plan import Group
from alnico.fitting.rows import Row
from alnico.fitting.space import FAMILY, chosen_members, family, family_space, fusion_space
from alnico.fitting.train import has_learned
from alnico.progress import Phase, phase
from alnico.searching import Space, Study, Trial, Value, best_of, search
from alnico.structures import Parts

FUSIONS_A_TRIAL = 2
"""Fusions are cheap beside families: so many are tried for each family that was."""

MOST_FUSIONS = 60
"""At most so many fusions are tried, however much time there is."""

OBJECTIVE = "out-of-fold validation loss"
"""What trials are told; a family is told that of greedy selection over the first pass and it."""


def search_families(
    bench: Bench,
    options: Options,
    has_time: Callable[[Study], bool],
    *,
    n_planned: int,
    train: Callable[[Group], TrainedGroup],
    add: Callable[[TrainedGroup], None],
    known: Sequence[Trial],
    keep: Callable[[Study], None],
) -> Study:
    """Train families until trials or time are used up.

    A trial's value is the loss of greedy selection over the first pass and the trial's family: what
    it adds, held against the same members whenever it comes.

    Args:
        bench: The first pass.
        options: What is asked.
        has_time: Whether one more family still fits in, given the study so far.
        n_planned: Groups of the first pass, trained or not; families are numbered after them.
        train: Trains a group, or gives back one that was trained.
        add: Takes the group of a trial that is complete; what a failed one has trained is left.
        known: Trials of a run that goes on.
        keep: Is told of the study after each trial.
    """

    def group_of(number: int, params: Mapping[str, Value]) -> Group:
        return family(params, n_planned + number, len(bench.train), seed=options.seed)

    def objective(number: int, params: Mapping[str, Value]) -> float:
        trained = train(group_of(number, params))
        if not has_learned(trained):
            raise RecipeError("no time was left to finish an epoch")
        new = trained.members
        parts = Parts.of([m.outputs for m in (*bench.pool, *new) if m.group.together != "shared"])
        loss = bench.loss(crossfit_structure(bench, "selection", parts).outputs)
        if math.isfinite(loss):
            add(trained)
        return loss

    for trial in known:
        if trial.state == "complete":
            add(train(group_of(trial.number, trial.params)))
    space = family_space(bench.inputs, options)
    study = Study(space, seed=options.seed, trials=known)
    with phase("search", "families", total=options.trials) as work:
        trials = search(objective, study, n_trials=options.trials, has_time=lambda: has_time(study))
        _run(trials, study, work, keep)
        work.say(_summary(study, "families"))
    return study


def families_fit(
    clock: Clock, *, n_members: int, longest: float, fusing: float
) -> Callable[[Study], bool]:
    """Whether one more family fits in, and another try of every kind over all members after it.

    Args:
        clock: What is left.
        n_members: Of the first pass.
        longest: Seconds that a group of the first pass took at most: a family may take as long.
        fusing: Seconds a member that it took to try every kind.
    """

    def fits(study: Study) -> bool:
        n_all = n_members + FAMILY * (len(study.trials) + 1)
        return clock.has(max(longest, _longest(study)) + fusing * n_all, share=MEMBERS_SHARE)

    return fits


def search_fusions(
    bench: Bench,
    wanted: Sequence[str],
    clock: Clock,
    *,
    options: Options,
    known: Sequence[Trial],
    keep: Callable[[Study], None],
) -> tuple[Study | None, list[Row]]:
    """Search which members feed which fusion, with what structure, over all that is trained.

    Args:
        bench: All members, and the rows of the kinds as they are by themselves.
        wanted: Structures that may join them.
        clock: What is left.
        options: What is asked.
        known: Trials of a run that goes on; of no use if members were added since.
        keep: Is told of the study after each trial.

    Returns:
        The study, and of each structure the best fusion found, if it beats what the kind made by
        itself; no study if there is nothing to choose from.
    """
    if not wanted or len(bench.pool) < 2:
        return None, []
    space: Space = fusion_space(bench.pool, wanted)

    def objective(number: int, params: Mapping[str, Value]) -> float:
        del number
        members = chosen_members(params, bench.pool)
        parts = Parts.of([member.outputs for member in members])
        return bench.loss(crossfit_structure(bench, str(params["structure"]), parts).outputs)

    known = known if all(set(trial.params) == set(space) for trial in known) else ()
    study = Study(space, seed=options.seed, trials=known)
    most = MOST_FUSIONS if options.trials is None else FUSIONS_A_TRIAL * options.trials
    with phase("search", "fusions", total=most) as work:
        trials = search(
            objective,
            study,
            n_trials=most,
            has_time=lambda: clock.has(_longest(study), share=FUSIONS_SHARE),
        )
        _run(trials, study, work, keep)
        rows = list(_found(bench, study, wanted))
        work.say(_summary(study, "fusions"))
    return study, rows


def _found(bench: Bench, study: Study, wanted: Sequence[str]) -> Iterator[Row]:
    """The row of each structure's best trial, if it beats the kind's own."""
    for name in wanted:
        best = best_of(trial for trial in study.trials if trial.params["structure"] == name)
        own = [
            bench.loss(row.outputs)
            for row in bench.rows
            if row.kind == name and row.outputs is not None
        ]
        if best is not None and best.value is not None and (not own or best.value < min(own)):
            row = join(bench, name, chosen_members(best.params, bench.pool))
            row.parts += ", searched"
            yield row


def _longest(study: Study) -> float:
    return max((trial.seconds for trial in study.trials), default=0.0)


def _run(trials: Iterator[Trial], study: Study, work: Phase, keep: Callable[[Study], None]) -> None:
    """Run the trials, keep the study after each, and tell how far it is."""
    what = work.text
    work.advance(len(study.trials))
    for _ in trials:
        keep(study)
        best = study.best
        found = "" if best is None or best.value is None else f"  best {best.value:.4f}"
        work.advance(text=f"{what}{found}")


def _summary(study: Study, what: str) -> str:
    failed = sum(trial.state == "failed" for trial in study.trials)
    best = study.best
    found = "" if best is None or best.value is None else f", best loss {best.value:.4f}"
    return f"{len(study.trials)} {what}{found}" + (f", {failed} failed" if failed else "")
