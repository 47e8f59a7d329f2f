from __future__ import annotations

import dataclasses

import numpy as np

from alnico.tensors.kernels.job import LARGEST, LOW_BITS, N_BINS, Job
from alnico.tensors.tape import Tape


def job() -> tuple[Job, dict[str, int]]:
    tape = Tape(3, 10, row=5, keys=np.zeros((3, 2), np.int64))
    at = {"models": tape.put("models"), "base": tape.put("base", per_model=False)}
    at["rank"] = tape.put("rank", at["models"])
    at["one"] = tape.put("pick", at["models"], 2, per_model=False)
    at["sum"] = tape.put("+", at["one"], at["base"], per_model=False)
    of = (at["sum"],)
    return Job("apply", of, tuple(tape.steps), 3, ("F32",) * 3, "F32", "F32"), at


def test_it_takes_the_steps_it_follows_from_and_no_model_for_a_step() -> None:
    made, at = job()
    assert made.needed == [at["models"], at["base"], at["one"], at["sum"]]


def test_it_is_of_whole_rows_only_if_it_takes_ranks() -> None:
    made, at = job()
    assert not made.ranks
    assert dataclasses.replace(made, of=(at["sum"], at["rank"])).ranks


def test_a_step_has_a_value_for_each_model_or_one() -> None:
    made, at = job()
    assert (made.width(at["rank"]), made.width(at["one"])) == (3, 1)


def test_equal_jobs_are_one_key() -> None:
    assert len({job()[0], job()[0]}) == 1


def test_bins_hold_every_magnitude_up_to_infinity() -> None:
    assert np.float32(np.inf).view(np.uint32) == LARGEST
    assert LARGEST >> LOW_BITS == N_BINS - 1
