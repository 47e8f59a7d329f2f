"""Several modules in one model: text and image towers, projectors."""

from __future__ import annotations

from zoo.text import GROUPED, HEADS, SIZES

_EYE = {
    "hidden_size": 12,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}
_CLIP_EYE = {"model_type": "clip_vision_model", **_EYE, "projection_dim": 8}
_ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
_QWEN = {**HEADS, "rope_parameters": _ROPE}
_QWEN_EYE = {"depth": 2, "num_heads": 2, "patch_size": 4, "spatial_merge_size": 2}

KINDS: dict[str, tuple[str, dict[str, object]]] = {
    "clip": (
        "CLIPModel",
        {"text_config": SIZES, "vision_config": _EYE, "projection_dim": 8},
    ),
    "siglip": ("SiglipModel", {"text_config": SIZES, "vision_config": _EYE}),
    "llava": (
        "LlavaForConditionalGeneration",
        {
            "text_config": {"model_type": "llama", **GROUPED},
            "vision_config": _CLIP_EYE,
            "image_token_index": 3,
            "vision_feature_layer": -1,
        },
    ),
    "mistral3": (
        "Mistral3ForConditionalGeneration",
        {
            "text_config": {"model_type": "mistral", **GROUPED},
            "vision_config": {"model_type": "pixtral", **_EYE, "head_dim": 6},
            "image_token_index": 3,
            "vision_feature_layer": -1,
        },
    ),
    "qwen2_vl": (
        "Qwen2VLForConditionalGeneration",
        {
            "text_config": _QWEN,
            "vision_config": {**_QWEN_EYE, "embed_dim": 16, "hidden_size": 16, "mlp_ratio": 2},
        },
    ),
    "qwen2_5_vl": (
        "Qwen2_5_VLForConditionalGeneration",
        {
            "text_config": _QWEN,
            "vision_config": {
                **_QWEN_EYE,
                "hidden_size": 16,
                "intermediate_size": 24,
                "out_hidden_size": 16,
                "fullatt_block_indexes": [1],
            },
        },
    ),
    "qwen3_vl": (
        "Qwen3VLForConditionalGeneration",
        {
            "text_config": _QWEN,
            "vision_config": {
                **_QWEN_EYE,
                "hidden_size": 16,
                "intermediate_size": 24,
                "out_hidden_size": 16,
                "num_position_embeddings": 16,
                "deepstack_visual_indexes": [1],
            },
        },
    ),
    "gemma3": (
        "Gemma3ForConditionalGeneration",
        {
            "text_config": {"model_type": "gemma3_text", **HEADS},
            "vision_config": {"model_type": "siglip_vision_model", **_EYE},
            "mm_tokens_per_image": 4,
        },
    ),
    "paligemma": (
        "PaliGemmaForConditionalGeneration",
        {
            "text_config": {"model_type": "gemma", **HEADS},
            "vision_config": {"model_type": "siglip_vision_model", **_EYE},
            "projection_dim": 16,
        },
    ),
    "llama4": (
        "Llama4ForConditionalGeneration",
        {
            "text_config": {
                **HEADS,
                "intermediate_size_mlp": 24,
                "num_local_experts": 2,
                "interleave_moe_layer_step": 2,
            },
            "vision_config": {
                **_EYE,
                "vision_output_dim": 12,
                "projector_input_dim": 12,
                "projector_output_dim": 12,
            },
        },
    ),
    "internvl": (
        "InternVLForConditionalGeneration",
        {
            "text_config": {"model_type": "qwen2", **GROUPED},
            "vision_config": {**_EYE, "image_size": [16, 16], "patch_size": [4, 4]},
        },
    ),
    "blip": (
        "BlipForConditionalGeneration",
        {"text_config": {**SIZES, "sep_token_id": 2, "projection_dim": 8}, "vision_config": _EYE},
    ),
}
