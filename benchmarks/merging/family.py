"""A family of Llama-shaped models of random weights, in bfloat16: a base and fine-tuned ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

KEYS = ("hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size")
SIZES = {
    "tiny": (64, 160, 2, 512),
    "0.5B": (1024, 4096, 28, 16384),
    "1.5B": (2048, 5632, 28, 32000),
}


def shapes(config: dict[str, int]) -> dict[str, tuple[int, ...]]:
    h, f, v = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    kv = h // 4
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (v, h)}
    for i in range(config["num_hidden_layers"]):
        p = f"model.layers.{i}."
        found |= {
            p + "self_attn.q_proj.weight": (h, h),
            p + "self_attn.k_proj.weight": (kv, h),
            p + "self_attn.v_proj.weight": (kv, h),
            p + "self_attn.o_proj.weight": (h, h),
            p + "mlp.gate_proj.weight": (f, h),
            p + "mlp.up_proj.weight": (f, h),
            p + "mlp.down_proj.weight": (h, f),
            p + "input_layernorm.weight": (h,),
            p + "post_attention_layernorm.weight": (h,),
        }
    return found | {"model.norm.weight": (h,), "lm_head.weight": (v, h)}


def make(size: str, folder: Path) -> None:
    """Write `base` and `a`, `b`, `c`, one file each, as folders in a folder."""
    config = dict(zip(KEYS, SIZES[size], strict=True))
    heads = max(config["hidden_size"] // 64, 4)
    full = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        **config,
        "num_attention_heads": heads,
        "num_key_value_heads": heads // 4,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }
    generator = torch.Generator().manual_seed(0)
    base = {
        name: torch.randn(shape, generator=generator).mul_(0.02).bfloat16()
        for name, shape in shapes(config).items()
    }
    for i, name in enumerate(["base", "a", "b", "c"]):
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        generator = torch.Generator().manual_seed(i)
        state = (
            base
            if name == "base"
            else {
                key: (value + torch.randn(value.shape, generator=generator).mul_(1e-3)).bfloat16()
                for key, value in base.items()
            }
        )
        save_file(state, place / "model.safetensors", {"format": "pt"})
        (place / "config.json").write_text(json.dumps(full, indent=1))


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]))
