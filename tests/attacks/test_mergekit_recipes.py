"""Faults of mergekit's recipes: those that mergekit takes in silence are refused or said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from samples import SLICES, THEIRS, changed

Refused = Callable[..., str]
Merged = Callable[..., Any]

THEIR_FAULTS: dict[str, tuple[str, str, str, int, str]] = {
    "a misspelt method": (THEIRS, "ties", "tise", 1, "did you mean 'ties'?"),
    "a method that is gone": (THEIRS, "ties", "consensus_ta", 1, "mergekit 0.0.6 had it"),
    "a misspelt folder": (THEIRS, "- model: b", "- model: bb", 0, "bb"),
    "two forms": (SLICES, "dtype:", "models: [{model: a}]\ndtype:", 1, "here is models and slices"),
    "no form": (THEIRS, "models:", "modles:", 1, "here is none of them"),
    "no entries": (SLICES, "[{model: a, layer_range: [0, 2]}]", "[]", 3, "list with entries"),
    "a source without a model": (THEIRS, "- model: b", "- modle: b", 6, "model must be"),
    "the same model twice": (THEIRS, "- model: b", "- model: a", 3, "a is named twice"),
    "layers past the end": (SLICES, "[1, 3]", "[1, 4]", 0, "layer_range [1, 4] is past the end of"),
    "layers of 10**9": (SLICES, "[1, 3]", "[1, 1000000000]", 0, "is past the end of b"),
    "layers of 10**30": (SLICES, "[1, 3]", f"[1, {10**30}]", 0, "is past the end of b"),
    "layers before the start": (SLICES, "[1, 3]", "[-1, 1]", 4, "holds no layer"),
    "layers backwards": (SLICES, "[1, 3]", "[3, 1]", 4, "layer_range [3, 1] holds no layer"),
    "no layers": (SLICES, "[1, 3]", "[2, 2]", 4, "layer_range [2, 2] holds no layer"),
    "a layer and a half": (SLICES, "[1, 3]", "[1, 2.5]", 4, "must be two whole numbers"),
    "one layer's number": (SLICES, "[1, 3]", "[1]", 4, "must be two whole numbers"),
    "no range": (SLICES, ", layer_range: [1, 3]", "", 4, "layer_range must be two whole numbers"),
    "unequal ranges": (
        SLICES.replace("passthrough", "linear"),
        "[{model: b, layer_range: [1, 3]}]",
        "[{model: a, layer_range: [0, 2]}, {model: b, layer_range: [0, 3]}]",
        4,
        "must have equally many layers, got [2, 3]",
    ),
    "20 where 0.2 is meant": (THEIRS, "density: 0.5", "density: 20", 0, "20 % is 0.2"),
    "a share of NaN": (THEIRS, "density: 0.5", "density: .nan", 5, "density"),
    "a share of 10**400": (THEIRS, "density: 0.5", f"density: 1{'0' * 400}", 5, "density"),
    "a share that is a text": (THEIRS, "density: 0.5", "density: half", 5, "density"),
    "a gradient of no value": (THEIRS, "[0.5, 1.0]", "[]", 0, "weight"),
    "a gradient of texts": (THEIRS, "[0.5, 1.0]", "[a, b]", 7, "weight"),
    "a weight that is missing": (THEIRS, "{weight: [0.5, 1.0]}", "{}", 0, "weight"),
    "an unknown dtype": (THEIRS, "float32", "float8", 9, "models cannot be merged in 'float8'"),
    "a base that is no path": (THEIRS, "base_model: base", "base_model: [base]", 2, "base"),
    "a base that is missing": (THEIRS, "base_model: base\n", "", 2, "base"),
    "a path upwards": (THEIRS, "- model: b", "- model: ../nothing", 0, ""),
    "two of each": (THEIRS, "- model: b", "- model: b@main@main", 6, ""),
    "a tokenizer twice": (
        THEIRS,
        "dtype:",
        "tokenizer: {source: union}\ntokenizer_source: base\ndtype:",
        10,
        "tokenizer and tokenizer_source say the same thing",
    ),
}


@pytest.mark.parametrize("case", THEIR_FAULTS)
def test_a_fault_of_a_mergekit_recipe_is_told(refused: Refused, work: Path, case: str) -> None:
    recipe, old, new, line, fault = THEIR_FAULTS[case]
    (work / "r.yml").write_text(changed(recipe, old, new), "utf-8")
    block = refused("merge", "r.yml", "-o", "out")
    assert fault in block and (line or "r.yml" in block or new.split()[-1] in block)
    if line:
        assert f"r.yml:{line}\n" in block or f"\n  line {line} " in block, block


def test_a_filter_that_matches_nothing_is_said(merged: Merged, work: Path) -> None:
    (work / "r.yml").write_text(changed(THEIRS, "filter: mlp", "filter: mpl"), "utf-8")
    said = " ".join(merged("merge", "r.yml", "-o", "out").err.split())
    assert "r.yml:8: the filter 'mpl' is in no tensor's name: did you mean mlp?" in said


STRAY = {
    "densty: 0.5": ("density: 0.5", "did you mean density?"),
    "lamda: 5, normalize: true": ("normalize: true", "did you mean lambda?"),
    "dtpye:": ("dtype:", "did you mean dtype?"),
    "residual_weight: 1\ndtype:": ("dtype:", "residual_weight is not known to mergekit"),
}


@pytest.mark.parametrize("new", STRAY)
def test_a_key_that_mergekit_would_pass_over_is_said_or_refused(
    refused: Refused, merged: Merged, work: Path, new: str
) -> None:
    old, said = STRAY[new]
    (work / "r.yml").write_text(changed(THEIRS, old, new), "utf-8")
    assert said in refused("merge", "r.yml", "-o", "out", "--strict")
    assert said in " ".join(merged("merge", "r.yml", "-o", "out").err.split())
