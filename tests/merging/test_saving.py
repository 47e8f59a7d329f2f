from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from zoo import load, make

from alnico import progress
from alnico.checkpoint.opened import open_checkpoint
from alnico.errors import DataError, IncompatibleModelsError, OutputError
from alnico.merging import load_plugin, merge_files, saving
from alnico.merging.execute import How
from alnico.merging.files import open_models, plan_files
from alnico.merging.saving import Order, key_of, write_plan

MERGE = """
import sys
from pathlib import Path
from alnico.merging import merge_files
from alnico.merging.execute import How
from alnico.merging.saving import Order
method, threads, out, *paths, base = sys.argv[1:]
order = Order(how=How(threads=int(threads)))
merge_files(paths, out, method, base=base, order=order)
"""
KILLED = """
import os, signal
from alnico import progress

def kill(event):
    if event.what == "advanced" and event.phase.name == "merge" and event.phase.done == 2:
        os.kill(os.getpid(), signal.SIGKILL)

with progress.listen(kill):
    exec(compile(MERGE, "merge", "exec"))
"""
Python = Callable[..., subprocess.CompletedProcess[str]]


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def bytes_of(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): sha(p) for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """A base and two models as transformers saves them, embeddings tied to the head."""
    made = [tmp_path / name for name in ("base", "cats", "dogs")]
    for seed, folder in enumerate(made):
        make("llama_tied", seed).save_pretrained(folder)
        (folder / "tokenizer.json").write_text(json.dumps({"of": folder.name}))
        (folder / "own_code.py").write_text("raise SystemExit('it was run')")
    return made


def test_a_folder_is_loaded_by_transformers_with_its_config_and_files(
    folders: list[Path], tmp_path: Path
) -> None:
    base, cats, dogs = folders
    out = tmp_path / "out"
    merge_files([dogs, cats], out, "task_arithmetic", base=base, dtype="bfloat16")
    model, found = load("llama_tied", out)
    assert not any(found.values()) and model.dtype == torch.bfloat16
    states = [load_file(folder / "model.safetensors") for folder in (base, cats, dogs)]
    written = load_file(out / "model.safetensors")
    assert written.keys() == states[0].keys() and "lm_head.weight" not in written
    for name, tensor in written.items():
        root, a, b = (state[name] for state in states)
        torch.testing.assert_close(tensor, (a + b - root).bfloat16(), rtol=2**-7, atol=0.01)
    assert model.lm_head.weight is model.model.embed_tokens.weight, "tied weights lie there once"
    config = json.loads((out / "config.json").read_text())
    before = json.loads((dogs / "config.json").read_text())
    assert config == {**before, "dtype": "bfloat16"}
    for name in ("tokenizer.json", "own_code.py", "generation_config.json"):
        assert (out / name).read_bytes() == (dogs / name).read_bytes(), "of the first model"


def test_an_order_says_whose_files_are_copied_and_what_the_config_says(
    folders: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    order = Order(
        recipe="method: linear",
        donor=1,
        config_changes={("vocab_size",): 7, ("rope_scaling", "factor"): 2},
        skip=("own_code.py",),
        add_files=lambda folder: (folder / "more.txt").write_text("more"),
        metadata={"format": "pt", "by": "test"},
    )
    merge_files(folders[1:], out, order=order)
    config = json.loads((out / "config.json").read_text())
    assert config["vocab_size"] == 7 and config["rope_scaling"]["factor"] == 2
    assert json.loads((out / "tokenizer.json").read_text()) == {"of": "dogs"}
    assert not (out / "own_code.py").exists() and (out / "more.txt").read_text() == "more"
    with open_checkpoint(out) as model:
        assert model.metadata == {"format": "pt", "by": "test"}
    assert "```yaml\nmethod: linear\n```" in (out / "README.md").read_text()


def test_the_card_names_the_parents_and_says_nothing_of_the_machine(
    folders: list[Path], tmp_path: Path
) -> None:
    base, cats, dogs = folders
    order = Order(recipe=f"models: [{cats}, {dogs}]\nbase: {base}\n")
    merge_files([cats, dogs], tmp_path / "out", "ties", base=base, order=order)
    card = (tmp_path / "out" / "README.md").read_text()
    assert str(tmp_path) not in card and str(Path.home()) not in card
    for label, folder in (("1", cats), ("2", dogs), ("base", base)):
        digest = sha(folder / "model.safetensors")
        assert f"| {label} | `{folder.name}` |  | `model.safetensors` | `{digest}` |" in card
    assert "`ties weight=1 density=0.2" in card and "models: [cats, dogs]" in card
    merge_files([cats, dogs], tmp_path / "no recipe")
    assert "Recipe" not in (tmp_path / "no recipe" / "README.md").read_text()


@pytest.mark.parametrize("which", ["cats", "base", "a link", "another way to it"])
def test_an_input_is_never_the_output_even_by_force(
    which: str, three: list[Path], tmp_path: Path
) -> None:
    cats, dogs, base = three
    link = tmp_path / "link.safetensors"
    link.symlink_to(dogs)
    places = {"cats": cats, "base": base, "a link": link}
    out = places.get(which, tmp_path / ".." / tmp_path.name / "dogs.safetensors")
    before = [sha(path) for path in three]
    with pytest.raises(OutputError, match="is an input itself, and inputs are never changed"):
        merge_files([cats, dogs], out, "ties", base=base, order=Order(force=True))
    assert [sha(path) for path in three] == before


def test_an_output_in_an_input_or_around_it_is_refused(folders: list[Path]) -> None:
    base, cats, dogs = folders
    before = [bytes_of(folder) for folder in folders]
    (base / "deep").mkdir()
    for out in (cats / "out", base / "deep" / "o.safetensors", cats / "model.safetensors", cats):
        with pytest.raises(OutputError, match="and inputs are never changed"):
            merge_files([cats, dogs], out, "ties", base=base, order=Order(force=True))
    with pytest.raises(OutputError, match=r"has the input .* in it"):
        merge_files([cats, dogs], cats.parent, order=Order(force=True))
    assert [bytes_of(folder) for folder in folders] == before


@pytest.mark.parametrize("taken", ["out.safetensors", "out.run.json"])
def test_what_is_there_is_replaced_by_force_alone(
    taken: str, three: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out.safetensors"
    (tmp_path / taken).write_text("old")
    with pytest.raises(OutputError, match=f"{taken} is there already"):
        merge_files(three, out)
    assert (tmp_path / taken).read_text() == "old"
    found = merge_files(three, out, order=Order(force=True))
    assert found["output"]["sha256"] == {"out.safetensors": sha(out)}  # type: ignore[index]
    assert json.loads((tmp_path / "out.run.json").read_text()) == found


def test_a_disk_too_small_is_known_before_the_first_byte(
    three: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(saving.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match=r"out\.safetensors needs \d+ bytes, and 10 are free"):
        merge_files(three, tmp_path / "out.safetensors")
    assert sorted(tmp_path.iterdir()) == sorted(three)


def test_a_disk_that_is_full_meanwhile_leaves_nothing_behind(
    three: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    for owner, name in ((os, "pwrite"), (Path, "write_text")):
        monkeypatch.setattr(owner, name, full)
        with pytest.raises(OutputError, match="the disk is full"):
            merge_files(three, tmp_path / "out.safetensors")
        monkeypatch.undo()
        assert sorted(tmp_path.iterdir()) == sorted(three)


def test_an_error_in_the_middle_leaves_nothing_behind(
    save: Callable[..., Path], tmp_path: Path
) -> None:
    state = {"a": torch.ones(3), "z": torch.ones(3)}
    paths = [save("cats", state), save("dogs", {**state, "z": torch.full((3,), torch.nan)})]
    for out in (tmp_path / "out", tmp_path / "out.safetensors"):
        with pytest.raises(DataError, match=r"dogs\.safetensors: z has values that are NaN"):
            merge_files(paths, out)
    paths = [save("cats", {"a": torch.full((3,), 6e4)}), save("dogs", {"a": torch.full((3,), 8e4)})]
    with pytest.raises(IncompatibleModelsError, match=r"linear makes 3 values of a .* in float16"):
        merge_files(paths, tmp_path / "out", dtype="float16")
    assert sorted(tmp_path.iterdir()) == sorted(paths)


@pytest.fixture
def killed(folders: list[Path], tmp_path: Path, python: Python) -> list[object]:
    """The arguments of a merge that was killed after two tensors."""
    base, cats, dogs = folders
    arguments = ["della", 2, tmp_path / "out", cats, dogs, base]
    ended = python(f"MERGE = {MERGE!r}\n{KILLED}", *arguments)
    assert ended.returncode == -9, ended.stderr
    assert not (tmp_path / "out").exists()
    return arguments


@pytest.mark.parametrize("damage", [False, True])
def test_after_a_kill_what_was_finished_is_taken_up_and_the_bytes_are_the_same(
    killed: list[object], folders: list[Path], tmp_path: Path, damage: bool
) -> None:
    base, *models = folders
    partial = tmp_path / ".out.partial" / "model" / "model.safetensors"
    if damage:
        with open_checkpoint(partial) as model:
            entry = next(iter(model.tensors.values()))
        with partial.open("r+b") as file:
            header = int.from_bytes(file.read(8), "little")
            file.seek(8 + header + entry.start)
            file.write(b"\xff\x00\x13")
    heard: list[str] = []
    with progress.listen(lambda event: heard.append(event.phase.text)):
        merge_files(models, tmp_path / "out", "della", base=base, order=Order(resume=True))
    assert any("2 of" in text and "finished before" in text for text in heard)
    again = bytes_of(tmp_path / "out")
    merge_files(models, tmp_path / "out", "della", base=base, order=Order(force=True))
    assert again == bytes_of(tmp_path / "out")
    assert not partial.parent.parent.exists()


def test_another_merge_does_not_go_on_with_what_was_left(
    killed: list[object], folders: list[Path], tmp_path: Path
) -> None:
    base, *models = folders
    order = Order(resume=True)
    for name, changed in (
        ("della", {"seed": 1}),
        ("della", {"density": 0.6}),
        ("della", {"dtype": "float16"}),
        ("dare_ties", {}),
    ):
        with pytest.raises(OutputError, match="holds another merge: its recipe, its models or"):
            merge_files(models, tmp_path / "out", name, base=base, order=order, **changed)


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(
    three: list[Path], tmp_path: Path
) -> None:
    heard: list[str] = []
    out = tmp_path / "out.safetensors"

    def interrupt(event: progress.Event) -> None:
        heard.append(event.phase.text)
        if event.what == "advanced" and event.phase.done == 3:
            raise KeyboardInterrupt

    with progress.listen(interrupt), pytest.raises(KeyboardInterrupt):
        merge_files(three, out)
    assert any(text.endswith("3 finished tensors are kept; go on with --resume") for text in heard)
    assert not out.exists() and not [t for t in threading.enumerate() if "alnico" in t.name]
    merge_files(three, out, order=Order(resume=True))
    merge_files(three, tmp_path / "clean.safetensors")
    assert sha(out) == sha(tmp_path / "clean.safetensors")


@pytest.mark.usefixtures("own_registry")
def test_the_key_changes_with_all_that_the_bytes_follow_from(
    three: list[Path], tmp_path: Path
) -> None:
    own = tmp_path / "own.py"

    def key(name: str = "linear", order: Order | None = None, **given: object) -> str:
        with open_models(three) as models:
            plan = plan_files(models, name, given, has_base=False, seed=len(given))
            return key_of(plan, models, order or Order())

    def write(value: int) -> str:
        own.write_text(
            "import alnico\nfrom torch import Tensor\n\n@alnico.method()\n"
            f"def own(weights: Tensor) -> Tensor:\n    'Own.'\n    return weights[{value}]\n"
        )
        load_plugin(own)
        return key("own")

    first = key()
    assert first == key(order=Order(how=How(threads=5), recipe="other words", sha256=True))
    found = [first, key(weight=2.0), key(order=Order(how=How(device="cuda"))), write(0), write(1)]
    os.utime(three[0], ns=(1, 1))
    assert len({*found, key()}) == 6


@pytest.mark.parametrize("method", ["ties", "della", "sce"])
def test_results_depend_neither_on_threads_nor_on_the_hash_seed(
    folders: list[Path], tmp_path: Path, python: Python, method: str
) -> None:
    found = []
    for threads in (1, 2, 5):
        cwd = tmp_path / f"with {threads}"
        cwd.mkdir()
        paths = [f"../{folder.name}" for folder in (*folders[1:], folders[0])]
        ended = python(MERGE, method, threads, "out", *paths, cwd=cwd, PYTHONHASHSEED=str(threads))
        assert ended.returncode == 0, ended.stderr
        found.append(bytes_of(cwd / "out"))
    assert found[0] == found[1] == found[2]
    assert {"model.safetensors", "run.json", "README.md", "config.json"} <= set(found[0])


MANY = (
    "import sys, time\n"
    "import alnico.merging.files\n"
    "begun = time.process_time()\n"
    f"{MERGE}"
    "print(time.process_time() - begun, 'torch' in sys.modules)\n"
)


@pytest.mark.slow
def test_four_thousand_tiny_tensors_take_seconds_and_no_torch(
    tmp_path: Path, python: Python
) -> None:
    paths = [tmp_path / f"{name}.safetensors" for name in ("cats", "dogs", "base")]
    for path in paths:
        save_file({f"layers.{i}.weight": torch.randn(8, 16) for i in range(4000)}, path)
    ended = python(MANY, "task_arithmetic", 2, "out", *paths)
    assert ended.returncode == 0, ended.stderr

    seconds, has_torch = ended.stdout.split()
    assert float(seconds) < 6 and has_torch == "False", ended.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="anonymous memory is told by Linux alone")
@pytest.mark.parametrize("method", ["task_arithmetic", "ties"])
def test_a_tensor_of_200_megabytes_takes_less_memory_than_300(tmp_path: Path, method: str) -> None:
    paths = [tmp_path / f"{name}.safetensors" for name in ("cats", "dogs", "base")]
    n = 100_000_000
    header = json.dumps(
        {"w": {"dtype": "BF16", "shape": [n // 1000, 1000], "data_offsets": [0, 2 * n]}}
    ).encode()
    for path in paths:
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        os.truncate(path, 8 + len(header) + 2 * n)  # zeros, which take no room
    arguments = [method, 8, tmp_path / "out", *paths]
    process = subprocess.Popen([sys.executable, "-c", MERGE, *map(str, arguments)])
    peak = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        lines = dict(line.split(":", 1) for line in status.splitlines())
        peak = max(peak, int(lines.get("RssAnon", "0 kB").split()[0]))
        threading.Event().wait(0.005)
    assert process.wait() == 0

    assert 0 < peak < 300 * 1024, f"{peak} kB"
    shutil.rmtree(tmp_path / "out")


def test_a_plan_says_its_lines_and_a_donor_without_a_folder_gives_no_files(
    three: list[Path], tmp_path: Path
) -> None:
    heard: list[str] = []
    with open_models(three) as models, progress.listen(lambda e: heard.append(e.phase.text)):
        plan = plan_files(models, "linear", {}, has_base=False)
        told = replace(plan, said=("the third is the oldest",))
        record = write_plan(told, models, tmp_path / "out", Order())
    assert "the third is the oldest" in heard and record["said"] == ["the third is the oldest"]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"README.md", "model.safetensors", "run.json"}
    assert "- the third is the oldest" in (tmp_path / "out" / "README.md").read_text()


def test_a_model_of_another_kind_is_said(tmp_path: Path) -> None:
    for name, kind in (("a", "llama"), ("b", "mistral")):
        (tmp_path / name).mkdir()
        save_file({"w": torch.ones(2, 2)}, tmp_path / name / "model.safetensors")
        (tmp_path / name / "config.json").write_text(json.dumps({"model_type": kind}))
    said: list[progress.Event] = []
    with progress.listen(said.append):
        merge_files([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    warned = [event.phase.text for event in said if event.what == "warning"]
    assert len(warned) == 1 and "b calls itself 'mistral', and" in warned[0]
    assert json.loads((tmp_path / "out" / "config.json").read_text())["model_type"] == "llama"
