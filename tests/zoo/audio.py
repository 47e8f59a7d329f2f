"""Audio: spectrograms, waves, codes; text from speech."""

from __future__ import annotations

from zoo.text import IDS
from zoo.vision import BLOCK

_AUDIO = {
    "vocab_size": 12,
    **BLOCK,
    "conv_dim": [8, 8],
    "conv_stride": [4, 4],
    "conv_kernel": [8, 4],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "mask_time_length": 2,
    "num_codevectors_per_group": 4,
    "codevector_dim": 8,
    "proj_codevector_dim": 8,
}

KINDS: dict[str, tuple[str, dict[str, object]]] = {
    "whisper": (
        "WhisperForConditionalGeneration",
        {
            "vocab_size": 48,
            "num_mel_bins": 8,
            "d_model": 16,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 24,
            "decoder_ffn_dim": 24,
            "max_source_positions": 20,
            "max_target_positions": 32,
            **IDS,
            "decoder_start_token_id": 1,
        },
    ),
    "wav2vec2": ("Wav2Vec2ForCTC", _AUDIO),
    "hubert": ("HubertModel", _AUDIO),
    "ast": (
        "ASTForAudioClassification",
        {**BLOCK, "patch_size": 4, "max_length": 16, "num_mel_bins": 8},
    ),
    "musicgen": (
        "MusicgenForCausalLM",
        {
            "vocab_size": 48,
            **IDS,
            "hidden_size": 16,
            "ffn_dim": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_codebooks": 2,
            "max_position_embeddings": 32,
        },
    ),
}
