"""Recipes that are damaged, mistaken or made to harm: alnico's own and mergekit's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from samples import SLICES, THEIRS, changed

Refused = Callable[..., str]
Merged = Callable[..., Any]

OWN = """\
alnico: 1
models: {a: ./a, b: ./b}
base: ./base
steps:
  - merge:
      method: ties
      weight: {a: 1.0, b: 0.5}
      density: 0.5
      where:
        - {match: "layers.*", density: 0.8}
        - {match: "head.*", keep: a}
"""


def laughs(n: int) -> str:
    """An alias of aliases: of a few lines, 10 to the power n values."""
    lines = [f"x0: &x0 [{', '.join(['1'] * 10)}]"]
    for i in range(1, n):
        lines.append(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 10)}]")
    return "\n".join(lines) + "\n"


ANY = {  # what is refused at the head of a recipe, whosever it is
    "a bomb of aliases": (4, laughs(9), "with its aliases it has more than 100000 values"),
    "a bomb of merged mappings": (
        4,
        "x0: &x0 {a: 1, b: 2}\n"
        + "".join(
            f"x{i}: &x{i} {{p: {{<<: *x{i - 1}}}, q: {{<<: *x{i - 1}}}, r: *x{i - 1}}}\n"
            for i in range(1, 30)
        ),
        "it has more than 100000 values",
    ),
    "a cycle": (4, "x: &x {y: *x}\n", "*x stands in what it stands for, line 1"),
    "a cycle of lists": (4, "x: &x [[*x]]\n", "*x stands in what it stands for, line 1"),
    "a cycle by a merge": (4, "x: &x\n  <<: *x\n", "*x stands in what it stands for, line 2"),
    "an alias of nothing": (2, "x: *y\n", "no anchor &y stands before this *y"),
    "a tag that calls": (
        4,
        'x: !!python/object/apply:os.system ["touch canary"]\n',
        "!!python/object/apply:os.system in line 1 asks for code to be run",
    ),
    "a tag that makes": (4, "x: !!python/name:os.system ''\n", "asks for code to be run"),
    "a tag that imports": (4, "x: !!python/module:this ''\n", "asks for code to be run"),
    "a tag under another name": (
        4,
        "%TAG !p! tag:yaml.org,2002:python/\n---\nx: !p!object/apply:os.system [id]\n",
        "asks for code to be run",
    ),
    "a tag of one's own": (2, "x: !model a\n", "the tag '!model' is not obeyed"),
    "a tag of YAML": (2, "x: !!binary aGk=\n", "the tag '!!binary' is not obeyed"),
    "a tag that includes": (2, "x: !include /etc/passwd\n", "the tag '!include' is not obeyed"),
    "ten thousand levels": (2, "x: " + "[" * 10**4 + "]" * 10**4 + "\n", "deeper than 64 levels"),
    "nested blocks": (
        2,
        "".join(f"{' ' * i}x:\n" for i in range(500)),
        "nested deeper than 64 levels",
    ),
    "10 MB": (2, "# " + "x" * 10**7 + "\n", "has 10000"),
    "a hundred thousand keys": (4, "".join(f"k{i}: 1\n" for i in range(60_000)), "100000 values"),
    "a key twice": (2, "seed: 1\nseed: 2\n", "the key 'seed' stands here and in line 1"),
    "a key that is a list": (2, "? [a, b]\n: 1\n", "a key must be a text"),
    "tabs": (2, "x:\n\ty: 1\n", "indent with spaces, not tabs"),
    "no end of a text": (2, 'x: "y\n', "this is not YAML"),
    "a NUL byte": (2, 'x: "\0"\n', "there is a NUL byte"),
    "no YAML": (2, "}{\n", "this is not YAML"),
}


@pytest.mark.parametrize("case", ANY)
def test_what_no_recipe_may_hold_is_refused_with_its_line(
    refused: Refused, work: Path, case: str
) -> None:
    code, head, fault = ANY[case]
    (work / "r.yml").write_text(head + (OWN if len(case) % 2 else THEIRS), "utf-8")
    block = refused("merge", "r.yml", "-o", "out", code=code)
    assert "r.yml" in block and fault in block
    assert not (work / "canary").exists()


BYTES = {
    "nothing": (b"", "says nothing"),
    "blanks": (b" \n\n", "says nothing"),
    "a remark": (b"# alnico: 1\n", "says nothing"),
    "null": (b"~\n", "says nothing"),
    "a text": (b"alnico\n", "r.yml:1"),
    "a list": (b"[alnico, 1]\n", "r.yml:1"),
    "a number": (b"1\n", "r.yml:1"),
    "Latin-1": ("alnico: 1\n# f\xfcr\n".encode("latin-1"), "this is not UTF-8"),
    "UTF-16": (OWN.encode("utf-16"), "this is not UTF-8"),
    "random bytes": (bytes(range(256)) * 4, "this is not UTF-8"),
    "a safetensors file": (bytes(7) + b"\1{}", "NUL byte"),
    "neither's keys": (b"modles: {a: ./a}\n", "r.yml"),
    "two of alnico's": (f"{OWN}---\n{OWN}".encode(), "a second document begins here"),
}


@pytest.mark.parametrize("case", BYTES)
def test_what_is_no_recipe_is_refused(refused: Refused, work: Path, case: str) -> None:
    data, fault = BYTES[case]
    (work / "r.yml").write_bytes(data)
    block = refused("merge", "r.yml", "-o", "out")
    assert "r.yml" in block and fault in block


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "nothing"])
def test_a_recipe_that_is_no_plain_file_is_refused(refused: Refused, work: Path, kind: str) -> None:
    path = work / "r.yml"
    {
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "device": lambda: path.symlink_to("/dev/zero"),
        "nothing": lambda: None,
    }[kind]()
    code = 4 if kind in ("pipe", "device") else 2
    assert "r.yml" in refused("merge", "r.yml", "-o", "out", code=code)


FAULTS: dict[str, tuple[str, str, int, str]] = {
    "a misspelt key": ("base:", "bas:", 3, "did you mean 'base'?"),
    "a misspelt parameter": ("density: 0.5", "densty: 0.5", 8, "did you mean 'density'?"),
    "a misspelt method": ("ties", "tise", 6, "did you mean 'ties'?"),
    "a misspelt verb": ("- merge:", "- mrege:", 5, "there is no step 'mrege'"),
    "a misspelt model": ("b: 0.5", "c: 0.5", 7, "'c' is not a model of this recipe"),
    "a misspelt model to keep": ("keep: a", "keep: aa", 11, "'aa'"),
    "a misspelt key of a rule": ("match", "macth", 10, "match"),
    "a misspelt folder": ("./b", "./bb", 2, "there is no model './bb'"),
    "mergekit's word": ("method:", "merge_method:", 6, "method"),
    "20 where 0.2 is meant": ("density: 0.5", "density: 20", 8, "20 % is 0.2"),
    "a share below 0": ("density: 0.5", "density: -0.5", 8, "density must lie in [0, 1], got -0.5"),
    "a share of NaN": ("density: 0.5", "density: .nan", 8, "density"),
    "a share without end": ("density: 0.5", "density: .inf", 8, "density"),
    "a share of 10**400": ("density: 0.5", f"density: 1{'0' * 400}", 8, "density"),
    "a share of 10**9999": ("density: 0.5", f"density: 1{'0' * 9999}", 8, "density"),
    "a share that is a text": ("density: 0.5", "density: half", 8, "density must be a number"),
    "a share that is a truth": ("density: 0.5", "density: yes", 8, "density"),
    "a share that is a list": ("density: 0.5", "density: []", 8, "density"),
    "a share that is nothing": ("density: 0.5", "density:", 8, "density"),
    "a gradient of no value": ("density: 0.5", "density: {}", 8, "density"),
    "a gradient of one end": ("density: 0.5", "density: {from: 0.2}", 8, "{from: 0.2, to: 0.8}"),
    "a gradient past the range": ("density: 0.5", "density: {from: 0.2, to: 8}", 8, "8 % is 0.08"),
    "weights for one model": ("{a: 1.0, b: 0.5}", "{a: 1.0}", 7, "b"),
    "the same model twice": ("./b", "./a", 2, "b and a are the same model"),
    "the same model, otherwise": ("./b", "./base/../a/", 2, "b and a are the same model"),
    "no models": ("{a: ./a, b: ./b}", "{}", 2, "models must be a mapping of names to paths"),
    "a model called base": ("a: ./a", "base: ./a", 2, "no model can be called 'base'"),
    "a model called nothing": ("a: ./a", '"": ./a', 2, "no model can be called ''"),
    "a model that is a number": ("./b", "7", 2, ""),
    "a path upwards": ("./b", "../outside", 2, "'../outside' leaves the folder of the recipe"),
    "a path upwards, hidden": ("./b", "a/../../outside", 2, "leaves the folder of the recipe"),
    "a link out": ("./b", "./leads_out", 2, "leaves the folder of the recipe"),
    "a link to itself": ("./b", "./itself", 2, "leads nowhere"),
    "a path that cannot be": ("./b", '"b\\0"', 2, "is no path"),
    "a path of 10 000 letters": ("./b", "b" * 10**4, 2, "is no path"),
    "an output upwards": ("base: ./base", "output: ../outside/x\nbase: ./base", 3, "leaves"),
    "a rule that matches nothing": ('"layers.*"', '"layres.*"', 10, "no tensor is called"),
    "an empty pattern": ('"layers.*"', '""', 10, "match"),
    "a pattern of 10 000 stars": ('"layers.*"', f'"{"*" * 10**4}b"', 10, "match"),
    "another format": ("alnico: 1", "alnico: 2", 1, "reads recipes of format 1, got 2"),
    "a format that is a text": ("alnico: 1", "alnico: one", 1, "got 'one'"),
    "a seed below 0": ("alnico: 1", "alnico: 1\nseed: -1", 2, "seed must be a whole number"),
    "a seed of 2**70": ("alnico: 1", f"alnico: 1\nseed: {2**70}", 2, "seed"),
    "another dtype": ("alnico: 1", "alnico: 1\ndtype: fp4", 2, "dtype cannot be 'fp4'"),
    "a shard of no bytes": ("alnico: 1", "alnico: 1\nshard_size: 0", 2, "shard_size"),
    "another digest": ("./b", f"{{path: ./b, sha256: {'0' * 64}}}", 2, "sha256 is of one file"),
    "a digest that is none": ("./b", "{path: ./b, sha256: xyz}", 2, "sha256 must be 64 digits"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_of_a_recipe_is_told_with_its_line(refused: Refused, work: Path, case: str) -> None:
    old, new, line, fault = FAULTS[case]
    (work / "leads_out").symlink_to("../outside")
    (work / "itself").symlink_to("itself")
    (work / "r.yml").write_text(changed(OWN, old, new), "utf-8")
    block = refused("merge", "r.yml", "-o", "out")
    assert f"r.yml:{line}\n" in block or f"\n  line {line} " in block, block
    assert fault in block, block


def test_every_fault_is_told_at_once(refused: Refused, work: Path) -> None:
    recipe = OWN
    for case in ("a misspelt parameter", "a misspelt folder", "a seed below 0", "no models"):
        old, new, *_ = FAULTS[case]
        recipe = recipe.replace(old, new, 1)
    (work / "r.yml").write_text(recipe + "outptu: x\n", "utf-8")
    block = refused("plan", "r.yml", "-o", "out")
    assert "4 faults in r.yml" in block and "nothing was read or written" in block


def test_a_digest_of_another_file_is_refused(refused: Refused, work: Path) -> None:
    pinned = f"{{path: ./b/model.safetensors, sha256: {'0' * 64}}}"
    (work / "r.yml").write_text(changed(OWN, "./b", pinned), "utf-8")
    assert "is not the file of the recipe" in refused("merge", "r.yml", "-o", "out")


NO_SUM = {
    "alnico: 1\nmodels: [a, b]\nsteps: [{merge: {method: linear, weight: {a: 1, b: -1}}}]\n": "",
    "merge_method: linear\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 0}\n": "r.yml: ",
}


@pytest.mark.parametrize("recipe", NO_SUM, ids=["alnico", "mergekit"])
def test_weights_of_no_sum_are_refused(refused: Refused, work: Path, recipe: str) -> None:
    (work / "r.yml").write_text(recipe, "utf-8")
    block = refused("merge", "r.yml", "-o", "out")
    assert NO_SUM[recipe] in block and "the weights sum to 0, got [" in block


SOUND = {
    "alnico's": OWN,
    "mergekit's": THEIRS,
    "slices": SLICES,
    "anchors and merged mappings": THEIRS.replace(
        "{weight: 1.0, density: 0.5}", "&p {weight: 1.0}"
    ).replace("{weight: [0.5, 1.0]}", "{<<: *p, density: 0.5}"),
    "a mark of bytes' order": "\ufeff" + OWN,
    "Windows' ends of lines": OWN.replace("\n", "\r\n"),
    "a document's start and end": f"---\n{OWN}...\n",
    "JSON": '{"alnico": 1, "models": {"a": "./a", "b": "./b"}, "steps": [{"merge": {"method": '
    '"linear"}}]}',
    "texts that look like numbers": OWN.replace("{a: ./a, b: ./b}", "{1: ./a, 2: ./b}")
    .replace("{a: 1.0, b: 0.5}", "{1: 1.0, 2: 0.5}")
    .replace("keep: a", "keep: 1"),
    "a gradient": OWN.replace("density: 0.5", "density: {from: 0.2, to: 0.8}"),
    "a path of its own": OWN.replace("./a", "././base/../a/"),
    "models as a list": OWN.replace("{a: ./a, b: ./b}", "[./a, ./b]"),
}


@pytest.mark.parametrize("case", SOUND)
def test_a_recipe_that_is_odd_but_sound_is_run(merged: Merged, work: Path, case: str) -> None:
    (work / "r.yml").write_text(SOUND[case], "utf-8", newline="")
    merged("merge", "r.yml", "-o", "out")
    assert (work / "out/model.safetensors").is_file()


def test_a_recipe_runs_no_code_that_it_or_a_model_names(refused: Refused, work: Path) -> None:
    for name in ("evil.py", "a/evil.py", "a/modeling_a.py"):
        (work / name).write_text("open('canary', 'w')\n")
    for line in ("plugin: evil.py", "eval: evil.py:score", "trust_remote_code: true"):
        (work / "r.yml").write_text(f"{OWN}{line}\n")
        assert "recipe has no key" in refused("merge", "r.yml", "-o", "out")
