from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

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
    written = Path("out.safetensors").read_bytes()
    digest = hashlib.sha256(written).hexdigest()
    assert shown == [
        "  read     2 models, a base, 2 tensors, 15 weights, float32",
        "  check    same names, shapes, dtypes",
        "  merge    ties weight=1,0.8 density=0.5 scale=1 normalize=models rescale=none",
        f"  write    out.safetensors  {len(written)} bytes  sha256 {digest[:10]}",
        "out.safetensors holds the model, out.run.json how it was made.",
    ]
    record = json.loads(Path("out.run.json").read_text("utf-8"))
    assert record["output"]["sha256"] == {"out.safetensors": digest}
    assert record["parameters"]["weight"] == [1.0, 0.8] and record["parameters"]["density"] == 0.5
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
        ("cats wide -o out", 3, ["fc.weight    cats [3, 4]    wide [3, 5]", "alnico.fuse("]),
        ("cats bogs.safetensors -o out", 2, ["no model 'bogs.safe", "mean 'dogs.safetensors'?"]),
        ("cats . -o out", 2, [". holds 4 models: base.safetensors, cats", "say which by its file"]),
        ("cats dogs -o out.bin", 2, ["one file is written as .safetensors", "-o out.safetensors"]),
        ("cats dogs -o cats --force", 2, ["cats.safetensors is an input itself"]),
        ("cats dogs -o base", 2, ["base.safetensors is there already", "--force"]),
        ("cats dogs -o no/out.safetensors", 2, ["there is no folder no", "mkdir -p no"]),
        ("cats dogs -o out --plugin none.py", 2, ["there is no plug-in none.py"]),
        ("cats dogs -o out --plugin cats", 2, ["cats.safetensors"]),
        ("-o out", 2, ["missing argument", "alnico merge --help"]),
        ("cats dogs", 2, ["where is the merged model to be written?", "-o OUT"]),
        ("cats dogs -o out --dtype bfloat61", 2, ["dtype cannot be", "did you mean 'bfloat16'?"]),
        ("cats dogs -o out --shard-size 5", 2, ["--shard-size must be a size", "5GB"]),
        ("cats dogs -o out --shard-size 5GB", 2, ["is one file, which has no shards", "-o out"]),
        ("cats dogs -o out --seed -1", 2, ["seed must be a whole number from 0 on, got -1"]),
        ("cats dogs -o out --threads -1", 2, ["threads must be 0, for one on each core"]),
        ("cats dogs -o out --device cudo", 2, ["no kind of device 'cudo'", "mean 'cuda'?"]),
        ("cats dogs -o out --integers-from dgos", 2, ["'dgos' is not one of", "mean 'dogs'?"]),
        ("cats dogs -o out --compat mergekit", 2, ["--compat is for mergekit's", "leave out"]),
        ("cats dogs -o out --compat megrekit", 2, ["--compat cannot be", "mean 'mergekit'?"]),
        ("cats dogs -o out --strict", 2, ["--strict is for mergekit's recipes"]),
        ("cats dogs -o out --stages kept", 2, ["--stages is for files of several recipes"]),
        ("cats r.yml -o out", 2, ["r.yml is a recipe, which names its models itself", "'cats.saf"]),
        ("r.yml -o out --method ties", 2, ["--method is for a merge without a recipe"]),
        ("r.yml -o out --row-wise 1", 2, ["--row-wise is for a merge without", "into the recipe"]),
        ("r.yml -o out", 2, ["there is no file r.yml"]),
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


def test_a_pickle_and_a_cut_file_are_refused_at_once_with_code_4(
    zoo: Path, refused: Callable
) -> None:
    Path("dogs.bin").write_bytes(pickle.dumps({"w": [1.0]}))
    whole = Path("cats.safetensors").read_bytes()
    Path("cats.safetensors").write_bytes(whole[:-1])
    block = refused("merge", *words("cats no/one.bin none base -o out"))
    assert "2 models are not there" in block and "'no/one.bin'" in block and "'none'" in block
    block = refused("merge", *words("cats dogs.bin base -o out"), code=4)
    assert "2 models cannot be read" in block
    assert "cats.safetensors" in block and "dogs.bin is refused" in block


def test_dtype_shards_seed_and_threads_are_those_that_are_asked_for(
    zoo: Path, command: Callable
) -> None:
    line = "cats dogs --base base --method dare_linear --density 0.5"
    more = "--dtype bfloat16 --shard-size 24B --seed 3 --threads 2"
    done = command("merge", *words(f"{line} {more} -o merged"))
    assert done.code == 0, done.err
    weights = sorted(path.name for path in Path("merged").glob("*.safetensors"))
    assert weights == [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    found = {k: v for name in weights for k, v in load_file(f"merged/{name}").items()}
    assert {tensor.dtype for tensor in found.values()} == {torch.bfloat16}
    other = command("merge", *words(f"{line} --seed 4 -o out"))
    assert other.code == 0, other.err
    assert not torch.equal(load_file("out.safetensors")["fc.weight"].bfloat16(), found["fc.weight"])
    recipe = json.loads(Path("merged/run.json").read_text("utf-8"))["recipe"]
    for part in ("seed: 3", "dtype: bfloat16", "shard_size: 24"):
        assert part in recipe
    assert recipe in Path("merged/README.md").read_text("utf-8")


def test_the_recipe_that_flags_leave_makes_the_same_model(zoo: Path, command: Callable) -> None:
    line = "cats dogs --base base --method ties --weight 1.0 0.8 --density 0.5 -o out"
    assert command("merge", *words(line)).code == 0
    Path("again.yml").write_text(json.loads(Path("out.run.json").read_text())["recipe"])
    done = command("merge", "again.yml", "-o", "again.safetensors")
    assert done.code == 0, done.err
    assert Path("again.safetensors").read_bytes() == Path("out.safetensors").read_bytes()


def test_integers_that_differ_are_those_of_the_model_that_is_named(
    zoo: Path, command: Callable, refused: Callable
) -> None:
    for n, name in enumerate(("cats", "dogs")):
        ids = {"ids": torch.arange(3) + n, "w": torch.ones(2)}
        save_file(ids, f"{name}.safetensors")
    assert "--integers-from MODEL" in refused("merge", *words("cats dogs -o out"), code=3)
    for named in ("dogs", "dogs.safetensors"):
        line = ["cats.safetensors", "dogs.safetensors", "-o", "out.safetensors", "--force"]
        done = command("merge", *line, "--integers-from", named)
        assert done.code == 0 and "integer tensors are those of dogs.safetensors" in done.err
        assert load_file("out.safetensors")["ids"].tolist() == [1, 2, 3]


def test_nan_is_named_and_goes_through_when_that_is_asked(
    zoo: Path, command: Callable, refused: Callable
) -> None:
    damaged = load_file("dogs.safetensors")
    damaged["fc.bias"][1] = float("nan")
    save_file(damaged, "dogs.safetensors")
    block = refused("merge", *words("cats dogs -o out"))
    assert "dogs.safetensors: fc.bias has values that are NaN" in block
    assert command("merge", *words("cats dogs -o out --allow-nonfinite")).code == 0
    assert load_file("out.safetensors")["fc.bias"].isnan().tolist() == [False, True, False]


def test_verbose_shows_a_line_for_each_tensor(zoo: Path, command: Callable) -> None:
    shown = command("merge", *words("cats dogs -o out -v")).err.splitlines()
    assert "  merge    fc.weight float32 [3, 4]" in shown
    assert "  merge    fc.bias float32 [3]" in shown
    quiet = command("merge", *words("cats dogs -o out --force")).err
    assert "fc.bias" not in quiet


def test_a_fault_in_a_plug_in_is_told_with_its_line(zoo: Path, refused: Callable) -> None:
    Path("own.py").write_text(PLUGIN.replace("found = ", "found = = "))
    assert "own.py:8: invalid syntax" in refused("merge", *words("cats -o out --plugin own.py"))
    Path("own.py").write_text(PLUGIN.replace("shift: float = 0.0", "shift: float"))
    block = refused("merge", *words("cats -o out --plugin own.py"))
    assert "own.py:5: " in block


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


def make_llama(name: str, tokens: list[str]) -> dict[str, torch.Tensor]:
    """A folder with a model and its tokenizer; token -> embedding."""
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    config = LlamaConfig(vocab_size=len(tokens), bos_token_id=0, eos_token_id=0, **sizes, **heads)
    model = LlamaForCausalLM(config)
    model.save_pretrained(name)
    ids = {token: i for i, token in enumerate(tokens)}
    Tokenizer(WordLevel(ids, unk_token="?")).save(f"{name}/tokenizer.json")
    Path(name, "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "?"}'
    )
    return dict(zip(tokens, model.get_input_embeddings().weight.detach(), strict=True))


def test_models_of_two_vocabularies_are_merged_token_by_token_where_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable
) -> None:
    monkeypatch.chdir(tmp_path)
    parents = [
        make_llama("cats", ["?", "cat", "sat"]),
        make_llama("dogs", ["?", "sat", "dog", "a"]),
    ]
    refused = command("merge", "cats", "dogs", "-o", "out")
    assert refused.code == 3 and not Path("out").exists()
    size = "cats and dogs have vocabularies of different size: 3 and 4 tokens (2 tensors)"
    assert size in refused.err and "in a command   --tokenizer union" in refused.err

    planned = command("plan", "cats", "dogs", "--tokenizer", "union", "-q")
    assert "tokenizer  the union of all models'" in planned.out
    assert "config     vocab_size 5" in planned.out
    done = command("merge", "cats", "dogs", "--tokenizer", "union", "-o", "out")
    assert done.code == 0, done.err
    model, info = AutoModelForCausalLM.from_pretrained("out", output_loading_info=True)
    assert not any(info.values()) and model.config.vocab_size == 5
    ids = AutoTokenizer.from_pretrained("out").get_vocab()
    assert ids.keys() == {"?", "cat", "sat", "dog", "a"}
    for token, number in ids.items():
        rows = [parent[token] for parent in parents if token in parent]
        merged = model.get_input_embeddings().weight[number]
        torch.testing.assert_close(merged, torch.stack(rows).mean(0))
