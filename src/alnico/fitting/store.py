"""Trained groups of a run that is not finished, kept beside its folder so that it can go on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch import nn

from alnico.checkpoint.files import new_file
from alnico.checkpoint.reader import read_tensors
from alnico.checkpoint.writer import write_tensors
from alnico.data.batches import Rows
from alnico.errors import DataError, OutputError, RunFolderError
from alnico.fitting.members import Member, Net, TrainedGroup, reading
from alnico.fitting.options import Options
from alnico.fitting.plan import Group
from alnico.networks import build
from alnico.probing import read_outputs
from alnico.runs import RUN, check_place, read_run
from alnico.searching import Study, Trial
from alnico.training import Epoch
from alnico.types import Inputs, StateDict, Task

_ASKED = "asked.json"
_LOCK = "lock"
_NETS = ("net", "ema", "swa")


class Store:
    """The folder `OUT.partial`: what was asked, and every group as soon as it is trained.

    Args:
        out: The run folder that will come of it.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out.parent / f"{out.name}.partial"  # `.` has no name
        self._goes_on = False
        self._lock = FileLock(self.folder / _LOCK)

    def check(self, *, force: bool) -> None:
        """Make sure that a new run may be written here; writes nothing.

        Raises:
            OutputError: If there is a run already, finished or not, and not `force`; or something
                that is no run.
        """
        check_place(self.out, force=force)
        if not os.path.lexists(self.folder):
            return
        if not (self.folder / _ASKED).is_file():
            raise OutputError(
                f"{self.folder} is there already and is not an unfinished run",
                help="choose another -o",
            )
        if not force:
            raise OutputError(
                f"{self.folder} is there already: a run that is not finished",
                help="go on with --resume, choose another -o, or --force to start anew",
            )

    def begin(self, options: Options, digest: str) -> None:
        """Note what is asked, and forget what another run left here; a resumed run goes on.

        Raises:
            OutputError: If the folder cannot be made, or another process works in it.
        """
        if self._goes_on:
            return
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{self.folder} cannot be made: {error.strerror}", help="choose another -o"
            ) from error
        self._hold()
        for path in self.folder.iterdir():
            if path.name != _LOCK:
                path.unlink()
        self._write(_ASKED, {"options": options.to_json(), "digest": digest})

    def _hold(self) -> None:
        """Keep other processes out until this one ends."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise OutputError(
                f"{self.folder} is held by another process, which searches and trains there",
                help="wait until it ends, stop it, or choose another -o",
            ) from None

    def resume(self, digest: str) -> Options:
        """What was asked of the run that goes on; its groups will not be trained again.

        Raises:
            RunFolderError: If there is nothing to go on with, or the test part was opened.
            DataError: If the table is another one.
            OutputError: If another process works in the folder.
        """
        if (self.out / RUN).is_file() and read_run(self.out).record.get("test_opened"):
            raise RunFolderError(
                f"{self.out} is finished: its test part was opened, and a test part is opened once",
                help="start a new run with another -o",
            )
        path = self.folder / _ASKED
        if not path.is_file():
            raise RunFolderError(
                f"there is nothing to go on with: {self.folder} is missing",
                help="start it without --resume",
            )
        asked = self._read(path)
        try:
            began_with, options = asked["digest"], Options.from_json(asked["options"])
        except (KeyError, TypeError, AttributeError) as error:
            raise _damaged(path, error) from error
        if began_with != digest:
            raise DataError(
                "the table is not the one that this run began with (its hash differs)",
                help="give the same table, or start a new run",
            )
        check_place(self.out, force=True)
        self._hold()
        self._goes_on = True
        return options

    def end(self) -> None:
        """The run is finished: nothing is left to go on with."""
        self._lock.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def pause(self) -> None:
        """The run was interrupted: it can go on, in any process."""
        self._lock.release()

    def give_up(self) -> bool:
        """The run failed: if no group was trained, nothing is left of it; else it can go on."""
        if not self._lock.is_locked:  # it never began, or the folder is another process's
            return False
        if not any(self.folder.glob("*.safetensors")) and not self._goes_on:
            self.end()
        self._lock.release()
        return self.folder.exists()

    def save(self, group: Group, trained: TrainedGroup) -> None:
        """Keep a trained group; one that had no time for an epoch is not worth keeping."""
        if not any(member.history for member in trained.members):
            return
        tensors: StateDict = {}
        members: list[dict[str, Any]] = []
        for i, member in enumerate(trained.members):
            for name in _NETS:
                net: Net | None = getattr(member, name)
                if net is not None:
                    state = net.module.state_dict()
                    tensors |= {f"{i}.{name}.{key}": value for key, value in state.items()}
            members.append(
                {
                    "best_epoch": member.best_epoch,
                    "history": [asdict(epoch) for epoch in member.history],
                    "stopped": member.stopped,
                    "seconds": member.seconds,
                }
            )
        write_tensors(self.folder / f"{group.name}.safetensors", tensors, force=True)
        how = {"way": trained.way, "why": trained.why, "seconds": trained.seconds}
        self._write(f"{group.name}.json", {"group": asdict(group), "members": members, **how})

    def load(self, group: Group, valid: Rows, inputs: Inputs, task: Task) -> TrainedGroup | None:
        """A group that was trained already, or None."""
        path = self.folder / f"{group.name}.json"
        if not path.is_file():
            return None
        record = self._read(path)
        if record["group"] != json.loads(json.dumps(asdict(group))):
            return None
        tensors = read_tensors(self.folder / f"{group.name}.safetensors")
        rows = reading(valid, group.architecture, inputs)

        def net(i: int, name: str) -> Net | None:
            prefix = f"{i}.{name}."
            state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            if not state:
                return None
            module = build(group.architecture, inputs, task.n_outputs)
            module.load_state_dict(state)
            return Net(group.architecture, module.eval())

        members = tuple(
            _member(group, i, kept, partial(net, i), rows)
            for i, kept in enumerate(record["members"])
        )
        return TrainedGroup(members, record["way"], record["why"], record["seconds"])

    def save_study(self, what: str, study: Study) -> None:
        """Keep the trials of a study: after each of them."""
        trials = [trial.to_json() for trial in study.trials]
        self._write(f"{what}.study.json", {"seed": study.seed, "trials": trials})

    def load_study(self, what: str) -> list[Trial]:
        """The trials of a study that goes on; none if it has not begun."""
        path = self.folder / f"{what}.study.json"
        if not (self._goes_on and path.is_file()):
            return []
        try:
            return [Trial(**trial) for trial in self._read(path)["trials"]]
        except (KeyError, TypeError) as error:
            raise _damaged(path, error) from error

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise _damaged(path, error) from error
        return record

    def _write(self, name: str, record: dict[str, Any]) -> None:
        with new_file(self.folder / name, force=True) as path:
            Path(path).write_text(json.dumps(record), "utf-8")


def _damaged(path: Path, error: Exception) -> RunFolderError:
    return RunFolderError(
        f"{path} is damaged: {error}", help="start it anew with --force, without --resume"
    )


def _member(
    group: Group, i: int, kept: dict[str, Any], net: Callable[[str], Net | None], rows: Rows
) -> Member:
    own = net("net")
    assert own is not None
    module: nn.Module = own.module
    return Member(
        name=f"{group.name}.{i}",
        group=group,
        net=own,
        setting=group.settings[i],
        start=group.starts[i],
        ema=net("ema"),
        swa=net("swa"),
        best_epoch=kept["best_epoch"],
        history=tuple(Epoch(**epoch) for epoch in kept["history"]),
        stopped=kept["stopped"],
        outputs=read_outputs(module, rows.inputs),
        seconds=kept["seconds"],
    )
