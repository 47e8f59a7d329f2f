"""Text: decoders, encoders, both, and those that are no transformers."""

from __future__ import annotations

IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
SIZES = {
    "vocab_size": 48,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 32,
    **IDS,
}
GROUPED = {**SIZES, "num_key_value_heads": 1}
HEADS = {**GROUPED, "head_dim": 8}
_BART = {
    "vocab_size": 48,
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": 32,
    "decoder_start_token_id": 2,
    **IDS,
}
_T5 = {"vocab_size": 48, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
_FALCON = {"vocab_size": 48, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
_DISTIL = {"vocab_size": 48, "dim": 16, "hidden_dim": 24, "n_layers": 2, "n_heads": 2}
_GPT2 = {"vocab_size": 48, "n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2, **IDS}
_STATE = {"vocab_size": 48, "hidden_size": 16, "num_hidden_layers": 2, "state_size": 4, **IDS}

KINDS: dict[str, tuple[str, dict[str, object]]] = {
    # decoders
    "llama": ("LlamaForCausalLM", {**GROUPED, "num_hidden_layers": 3}),
    "llama_tied": ("LlamaForCausalLM", {**GROUPED, "tie_word_embeddings": True}),
    "llama_classifier": ("LlamaForSequenceClassification", {**GROUPED, "num_labels": 3}),
    "mistral": ("MistralForCausalLM", GROUPED),
    "qwen2": ("Qwen2ForCausalLM", GROUPED),
    "qwen3": ("Qwen3ForCausalLM", HEADS),
    "gemma": ("GemmaForCausalLM", HEADS),
    "gemma2": ("Gemma2ForCausalLM", HEADS),
    "gemma3_text": ("Gemma3ForCausalLM", HEADS),
    "phi": ("PhiForCausalLM", SIZES),
    "phi3": ("Phi3ForCausalLM", GROUPED),
    "gpt2": ("GPT2LMHeadModel", _GPT2),
    "gpt_bigcode": ("GPTBigCodeForCausalLM", _GPT2),
    "gpt_neox": ("GPTNeoXForCausalLM", SIZES),
    "falcon_old": ("FalconForCausalLM", _FALCON),
    "falcon_new": (
        "FalconForCausalLM",
        {**_FALCON, "new_decoder_architecture": True, "num_kv_heads": 1},
    ),
    "cohere": ("CohereForCausalLM", {**GROUPED, "use_qk_norm": False}),
    "cohere2": ("Cohere2ForCausalLM", GROUPED),
    "olmo2": ("Olmo2ForCausalLM", GROUPED),
    "stablelm": ("StableLmForCausalLM", GROUPED),
    "starcoder2": ("Starcoder2ForCausalLM", GROUPED),
    "granite": ("GraniteForCausalLM", GROUPED),
    "glm4": ("Glm4ForCausalLM", HEADS),
    "apertus": ("ApertusForCausalLM", GROUPED),
    "opt": ("OPTForCausalLM", {**SIZES, "ffn_dim": 24, "word_embed_proj_dim": 12}),
    "bloom": ("BloomForCausalLM", {"vocab_size": 48, "hidden_size": 16, "n_layer": 2, "n_head": 2}),
    "mamba": ("MambaForCausalLM", _STATE),
    "mamba2": ("Mamba2ForCausalLM", {**_STATE, "num_heads": 4, "head_dim": 8, "n_groups": 1}),
    # encoders
    "bert": ("BertModel", SIZES),
    "bert_mlm": ("BertForMaskedLM", SIZES),
    "bert_classifier": ("BertForSequenceClassification", {**SIZES, "num_labels": 3}),
    "roberta": ("RobertaModel", SIZES),
    "roberta_mlm": ("RobertaForMaskedLM", SIZES),
    "distilbert": ("DistilBertModel", _DISTIL),
    "distilbert_mlm": ("DistilBertForMaskedLM", _DISTIL),
    "albert": ("AlbertForMaskedLM", {**SIZES, "embedding_size": 12}),
    "electra": ("ElectraForMaskedLM", {**SIZES, "embedding_size": 12}),
    "mpnet": ("MPNetForMaskedLM", SIZES),
    "modernbert": ("ModernBertForMaskedLM", {**SIZES, "cls_token_id": 1, "sep_token_id": 2}),
    "deberta": (
        "DebertaV2Model",
        {**SIZES, "relative_attention": True, "max_relative_positions": 8},
    ),
    # both
    "bart": ("BartForConditionalGeneration", _BART),
    "pegasus": ("PegasusForConditionalGeneration", _BART),
    "marian": ("MarianMTModel", _BART),
    "t5": ("T5ForConditionalGeneration", _T5),
    "t5_gated": (
        "T5ForConditionalGeneration",
        {**_T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    ),
}
