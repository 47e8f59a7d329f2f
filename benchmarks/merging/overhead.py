"""What a merge costs that has hardly anything to merge: its start, and many tiny tensors.

    python benchmarks/merging/overhead.py FOLDER [--mergekit COMMAND]

CPU seconds of whole processes; of alnico's runs the least of three. The tensors of the second
family are of 64 values each, in names that mergekit takes for a Llama's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from family import make
from run import HERE, REPEATS, measure
from safetensors.torch import save_file

N_LAYERS = 444
"""Of nine tensors each: about 4,000."""


def make_tiny_tensors(folder: Path) -> None:
    """Write `a`, `b`, `c`: Llama-shaped models of very many layers that are 8 wide."""
    names = ("q_proj", "k_proj", "v_proj", "o_proj")
    for seed, model in enumerate("abc"):
        generator = torch.Generator().manual_seed(seed)

        def new(*shape: int, generator: torch.Generator = generator) -> torch.Tensor:
            return torch.randn(shape, generator=generator).bfloat16()

        state = {"model.embed_tokens.weight": new(8, 8), "lm_head.weight": new(8, 8)}
        state["model.norm.weight"] = new(8)
        for i in range(N_LAYERS):
            start = f"model.layers.{i}."
            state |= {f"{start}self_attn.{name}.weight": new(8, 8) for name in names}
            state |= {f"{start}mlp.{x}_proj.weight": new(8, 8) for x in ("gate", "up", "down")}
            state |= {f"{start}{x}_layernorm.weight": new(8) for x in ("input", "post_attention")}
        place = folder / model
        place.mkdir(parents=True, exist_ok=True)
        save_file(state, place / "model.safetensors", {"format": "pt"})
        config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8}
        config |= {"intermediate_size": 8, "num_hidden_layers": N_LAYERS, "vocab_size": 8}
        config |= {"num_attention_heads": 1, "num_key_value_heads": 1, "torch_dtype": "bfloat16"}
        (place / "config.json").write_text(json.dumps(config))


def cost(folder: Path, mergekit: str) -> dict[str, object]:
    recipe = folder / "linear.yml"
    models = [f"  - {{model: {folder / x}, parameters: {{weight: 1.0}}}}" for x in "abc"]
    recipe.write_text("\n".join(["merge_method: linear", "dtype: bfloat16", "models:", *models]))
    out, env = folder / "out", {**os.environ, "HF_HUB_OFFLINE": "1"}
    alnico = [str(Path(sys.executable).with_name("alnico")), "merge", str(recipe), "-q", "-o"]
    ours = []
    for _ in range(REPEATS):
        shutil.rmtree(out, ignore_errors=True)
        ours.append(measure([*alnico, str(out)], env))
    shutil.rmtree(out, ignore_errors=True)
    theirs = measure([mergekit, str(recipe), str(out)], env)
    shutil.rmtree(out, ignore_errors=True)
    best = min(ours, key=lambda one: one.cpu)
    return {"alnico": asdict(best), "mergekit": asdict(theirs), "cpu_ratio": theirs.cpu / best.cpu}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mergekit", default=str(Path(sys.executable).with_name("mergekit-yaml")))
    asked = parser.parse_args()
    tiny, many = asked.folder / "tiny", asked.folder / "many"
    make("tiny", tiny)
    make_tiny_tensors(many)
    found = {"21 tensors": cost(tiny, asked.mergekit), "4,000 tensors": cost(many, asked.mergekit)}
    place = HERE / "overhead.json"
    place.write_text(json.dumps(found, indent=1) + "\n")
    print("| what | alnico CPU s | mergekit CPU s | ratio |\n|---|---|---|---|")
    for name, row in found.items():
        ours, theirs = row["alnico"]["cpu"], row["mergekit"]["cpu"]
        print(f"| {name} | {ours:.2f} | {theirs:.1f} | {row['cpu_ratio']:.0f} |")


if __name__ == "__main__":
    main()
