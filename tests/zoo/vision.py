"""Vision: patches, convolutions, stages, BatchNorm."""

from __future__ import annotations

BLOCK = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
_IMAGE = {**BLOCK, "image_size": 16, "patch_size": 8}
_STAGES = {"hidden_sizes": [4, 8], "depths": [2, 1], "num_stages": 2, "num_labels": 3}
KINDS: dict[str, tuple[str, dict[str, object]]] = {
    "vit": ("ViTForImageClassification", {**_IMAGE, "num_labels": 3}),
    "deit": ("DeiTForImageClassification", {**_IMAGE, "num_labels": 3}),
    "dinov2": ("Dinov2Model", {**_IMAGE, "mlp_ratio": 2}),
    "beit": ("BeitModel", {**_IMAGE, "vocab_size": 48, "use_relative_position_bias": True}),
    "videomae": ("VideoMAEModel", {**_IMAGE, "num_frames": 2}),
    "resnet": ("ResNetForImageClassification", {**_STAGES, "embedding_size": 4}),
    "regnet": ("RegNetForImageClassification", {**_STAGES, "embedding_size": 4, "groups_width": 4}),
    "convnext": ("ConvNextForImageClassification", _STAGES),
    "mobilenet_v2": (
        "MobileNetV2ForImageClassification",
        {"depth_multiplier": 0.1, "num_labels": 3},
    ),
    "swin": (
        "SwinForImageClassification",
        {
            "image_size": 16,
            "patch_size": 2,
            "embed_dim": 8,
            "depths": [2, 1],
            "num_heads": [2, 2],
            "window_size": 4,
            "num_labels": 3,
        },
    ),
    "segformer": (
        "SegformerForImageClassification",
        {
            "num_encoder_blocks": 2,
            "depths": [2, 1],
            "sr_ratios": [2, 1],
            "hidden_sizes": [8, 16],
            "patch_sizes": [3, 3],
            "strides": [2, 2],
            "num_attention_heads": [1, 2],
            "mlp_ratios": [2, 2],
            "num_labels": 3,
        },
    ),
}
