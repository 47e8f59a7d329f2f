from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from alnico.cli.merge import _as_settings
from alnico.methods import methods

PLUGIN = '''
import alnico
from torch import Tensor

@alnico.method(symmetric=True)
def middle(weights: Tensor, shift: float = 0.0, mode: str = "low", twice: bool = False) -> Tensor:
    """Take the median of the models."""
    found = weights.median(0).values + shift
    return 2 * found if twice else found
'''


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, which one is in, of three models that fit and one that does not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(methods, "_things", dict(methods._things))
    for name, width in (("cats", 4), ("dogs", 4), ("base", 4), ("wide", 5)):
        state = {"fc.weight": torch.randn(3, width), "fc.bias": torch.randn(3)}
        save_file(state, f"{name}.safetensors")
    Path("own.py").write_text(PLUGIN)
    return tmp_path


def words(text: str) -> list[str]:
    """A command line, in which `cats` is the file of that name."""
    files = {name: f"{name}.safetensors" for name in ("cats", "dogs", "base", "wide", "out")}
    return [files.get(word, word) for word in text.split()]


@pytest.mark.parametrize(
    "line",
    [
        "cats dogs --base base --method ties --weight 1.0 0.8 --density 0.5 -o out",
        "--method ties --weight 1.0 0.8 cats dogs --density=0.5 --base base -o out",
        "cats --weight 1 dogs --weight=.8 --density .5 --method=ties -o out --base base",
        "--base base cats dogs --set weight=1 --set weight=.8 --density .5 --method ties -o out",
    ],
)
def test_however_parameters_are_given_the_file_holds_the_merge(
    line: str, zoo: Path, command: Callable
) -> None:
    done = command("merge", *words(line))
    assert (done.code, done.out) == (0, ""), done.err
    cats, dogs, base = (load_file(f"{name}.safetensors") for name in ("cats", "dogs", "base"))
    for name, tensor in load_file("out.safetensors").items():
        deltas = torch.stack([cats[name] - base[name], dogs[name] - base[name]])
        merged = methods["ties"](deltas, weight=[1.0, 0.8], density=0.5)
        torch.testing.assert_close(tensor, base[name] + merged)


def test_it_says_what_it_did_and_where_the_result_lies(zoo: Path, command: Callable) -> None:
    line = "cats dogs --base base --method ties --weight 1.0 0.8 --density 0.5 -o out"
    shown = command("merge", *words(line)).err.splitlines()
    record = json.loads(Path("out.run.json").read_text("utf-8"))
    assert shown == [
        "  read     2 models, a base, 2 tensors, 15 weights, float32",
        "  check    safetensors only; same names, shapes, dtypes",
        "  merge    ties weight=1,0.8 density=0.5 scale=1",
        f"  write    out.safetensors  {record['output']['bytes']} bytes  "
        f"sha256 {record['output']['sha256'][:8]}",
        "out.safetensors holds the model, out.run.json how it was made.",
    ]
    assert record["parameters"] == {"weight": [1.0, 0.8], "density": 0.5, "scale": 1.0}
    assert command("merge", *words("cats dogs -o out --force -q")).err == ""
    assert json.loads(Path("out.run.json").read_text("utf-8"))["method"] == "linear"


def test_a_plug_ins_parameters_are_options_of_their_types(zoo: Path, command: Callable) -> None:
    line = "cats dogs base --plugin own.py --method middle --shift -0.5 --twice true -o out"
    done = command("merge", *words(line))
    assert done.code == 0, done.err
    record = json.loads(Path("out.run.json").read_text("utf-8"))
    assert record["parameters"] == {"shift": -0.5, "mode": "low", "twice": True}
    three = torch.stack(
        [load_file(f"{n}.safetensors")["fc.bias"] for n in ("cats", "dogs", "base")]
    )
    expected = 2 * (three.sort(0).values[1] - 0.5)
    torch.testing.assert_close(load_file("out.safetensors")["fc.bias"], expected)


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("cats dogs -o out --method tise", 2, ["no merge method 'tise'", "did you mean 'ties'?"]),
        ("cats dogs -o out --method ties", 2, ["ties merges changes from a base", "as base"]),
        ("cats dogs -o out --base base", 2, ["linear has no use for a base", "leave it out"]),
        ("cats -o out --densty 1 --method ties", 2, ["no parameter 'densty'", "mean '--density'?"]),
        ("cats -o out --wieght 1 2", 2, ["no parameter 'wieght'", "did you mean '--weight'?"]),
        ("cats dogs -o out --forc", 2, ["no parameter 'forc'", "did you mean '--force'?"]),
        ("cats -o out --set zzz=1", 2, ["no parameter 'zzz'", "options are --weight, --normalize"]),
        ("cats -o out --weight", 2, ["linear: weight needs a value", "--weight VALUE"]),
        ("cats dogs -o out --weight 1 2 3", 2, ["weight has 3 values for 2 models", ""]),
        ("cats dogs -o out --set weight=1 --weight=heavy", 2, ["must be a number, got '1 heavy'"]),
        ("cats dogs -o out --weight 1 -1", 2, ["weights sum to 0", "normalize=False"]),
        ("cats dogs -o out --weight nan", 2, ["weight must be finite"]),
        ("cats dogs -o out --normalize maybe", 2, ["must be true or false, got 'maybe'"]),
        ("cats dogs -o out --method slerp --t 20", 2, ["t must lie in [0, 1], got 20", "is 0.2"]),
        ("cats dogs -o out --method slerp --t 0.1 0.2", 2, ["t is one value for all", "0.1 0.2"]),
        ("cats dogs base -o out --method slerp", 2, ["slerp merges 2 models, got 3"]),
        ("cats wide -o out", 3, ["fc.weight    cats.safetensors [3, 4]    wide", "alnico.fuse("]),
        ("cats none.safetensors -o out", 2, ["there is no file none.safetensors", "check the"]),
        ("cats . -o out", 2, [". is a folder, not a model in one file", "a .safetensors file"]),
        ("cats dogs -o out.bin", 2, ["a merged model ends in .safetensors", "-o out.safetensors"]),
        ("cats dogs -o cats --force", 2, ["cats.safetensors is an input itself"]),
        ("cats dogs -o base", 2, ["base.safetensors is there already", "--force"]),
        ("cats dogs -o no/out.safetensors", 2, ["there is no folder no", "mkdir -p no"]),
        ("cats dogs -o out --plugin none.py", 2, ["there is no plug-in none.py"]),
        ("cats dogs -o out --plugin cats", 2, ["cats.safetensors"]),
        ("-o out", 2, ["missing argument", "alnico merge --help"]),
        ("cats dogs", 2, ["missing option", "alnico merge --help"]),
    ],
)
def test_a_wrong_word_gets_one_block_with_the_way_out(
    line: str, code: int, said: list[str], zoo: Path, command: Callable
) -> None:
    before = sorted(zoo.iterdir())
    done = command("merge", *words(line))
    block = done.err[done.err.index("error[") :]
    assert (done.code, done.out) == (code, "") and "Traceback" not in done.err
    assert all(text.lower() in block.lower() for text in said), block
    assert sorted(zoo.iterdir()) == before


def test_a_pickle_and_a_cut_file_are_refused_with_code_4(zoo: Path, refused: Callable) -> None:
    Path("dogs.bin").write_bytes(pickle.dumps({"w": [1.0]}))
    block = refused("merge", *words("cats dogs.bin -o out"), code=4)
    assert "dogs.bin is refused: a pickle" in block and ".safetensors" in block
    whole = Path("dogs.safetensors").read_bytes()
    Path("dogs.safetensors").write_bytes(whole[:-1])
    assert "its tensors take" in refused("merge", *words("cats dogs -o out"), code=4)


def test_a_fault_in_a_plug_in_is_told_with_its_line(zoo: Path, refused: Callable) -> None:
    Path("own.py").write_text(PLUGIN.replace("found = ", "found = = "))
    assert "own.py:8: invalid syntax" in refused("merge", *words("cats -o out --plugin own.py"))
    Path("own.py").write_text(PLUGIN.replace("shift: float = 0.0", "shift: float"))
    block = refused("merge", *words("cats -o out --plugin own.py"))
    assert "own.py:5: " in block


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("a b -o c --force -q", "a b -o c --force -q"),
        ("--weight 1 2 a", "--set weight=1 --set weight=2 a"),
        ("--weight 1 -2.5 -o c", "--set weight=1 --set weight=-2.5 -o c"),
        ("--mode fast a 3", "--set mode=fast a 3"),
        ("--time-limit=5 a", "--set time_limit=5 a"),
        ("--base --odd a", "--base --odd a"),
        ("--twice --force", "--set twice --force"),
        ("a -- --weight 1", "a -- --weight 1"),
    ],
)
def test_options_of_a_method_are_written_as_settings(given: str, written: str) -> None:
    own, with_value = {"-o", "--force", "-q", "--base", "--set"}, {"-o", "--base", "--set"}
    assert _as_settings(given.split(), own=own, with_value=with_value) == written.split()


def test_help_shows_how_parameters_are_given_and_loads_no_torch() -> None:
    code = "import sys; from alnico.cli.app import main; main(['merge', '--help']); "
    done = subprocess.run(
        [sys.executable, "-c", code + "assert 'torch' not in sys.modules"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "--weight 1.0 0.8" in done.stdout and "--plugin" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 84
