"""Mixtures of experts: layers within layers, whose numbers are no layer numbers."""

from __future__ import annotations

from zoo.text import GROUPED, HEADS

_FEW = {"num_experts": 4, "num_experts_per_tok": 2}
_LOCAL = {"num_local_experts": 4, "num_experts_per_tok": 2}
_NARROW = {**_FEW, "moe_intermediate_size": 12}

KINDS: dict[str, tuple[str, dict[str, object]]] = {
    "mixtral": ("MixtralForCausalLM", {**GROUPED, **_LOCAL}),
    "qwen2_moe": (
        "Qwen2MoeForCausalLM",
        {**GROUPED, **_NARROW, "shared_expert_intermediate_size": 12},
    ),
    "qwen3_moe": ("Qwen3MoeForCausalLM", {**HEADS, **_NARROW}),
    "olmoe": ("OlmoeForCausalLM", {**GROUPED, **_FEW}),
    "granite_moe": ("GraniteMoeForCausalLM", {**GROUPED, **_LOCAL}),
    "gpt_oss": (
        "GptOssForCausalLM",
        {**HEADS, **_LOCAL, "layer_types": ["sliding_attention", "full_attention"]},
    ),
    "deepseek_v3": (
        "DeepseekV3ForCausalLM",
        {
            **GROUPED,
            "num_key_value_heads": 2,
            "num_hidden_layers": 3,
            "first_k_dense_replace": 1,
            "moe_intermediate_size": 12,
            "n_routed_experts": 4,
            "n_shared_experts": 1,
            "num_experts_per_tok": 2,
            "n_group": 2,
            "topk_group": 1,
            "q_lora_rank": 8,
            "kv_lora_rank": 8,
            "qk_rope_head_dim": 4,
            "qk_nope_head_dim": 4,
            "v_head_dim": 8,
        },
    ),
    "qwen3_next": (
        "Qwen3NextForCausalLM",
        {
            **HEADS,
            **_NARROW,
            "shared_expert_intermediate_size": 12,
            "layer_types": ["linear_attention", "full_attention"],
            "linear_key_head_dim": 4,
            "linear_value_head_dim": 4,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
        },
    ),
    "llama4_text": (
        "Llama4ForCausalLM",
        {**HEADS, **_LOCAL, "intermediate_size_mlp": 24, "interleave_moe_layer_step": 2},
    ),
    "glm4_moe": (
        "Glm4MoeForCausalLM",
        {
            **HEADS,
            "moe_intermediate_size": 12,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "first_k_dense_replace": 1,
        },
    ),
    "jamba": (
        "JambaForCausalLM",
        {
            **GROUPED,
            **_FEW,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "expert_layer_period": 2,
            "expert_layer_offset": 1,
            "mamba_d_state": 4,
            "mamba_expand": 1,
            "mamba_dt_rank": 4,
        },
    ),
}
