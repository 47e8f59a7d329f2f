"""Tiny random models of many transformers classes, made in memory: whatever a merge must fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import PreTrainedConfig, PreTrainedModel

from alnico.checkpoint.header import read_header
from zoo import audio, experts, joint, text, vision

KINDS = {**text.KINDS, **experts.KINDS, **vision.KINDS, **audio.KINDS, **joint.KINDS}
"""Name -> the class that transformers saves and loads, and settings as small as it takes."""

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()


def zoo(name: str) -> tuple[type[PreTrainedModel], PreTrainedConfig]:
    """The class of that kind, and a tiny configuration for it."""
    model, settings = KINDS[name]
    cls = getattr(transformers, model)
    return cls, cls.config_class(**settings)


@torch.no_grad()
def make(name: str, seed: int = 0, config: PreTrainedConfig | None = None) -> PreTrainedModel:
    """A model in which every tensor is random: norms, biases and counters, too."""
    cls, own = zoo(name)
    model = cls(own if config is None else config).eval()
    generator = torch.Generator().manual_seed(seed)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.normal_(generator=generator)
        else:
            tensor.random_(0, 1_000, generator=generator)
    return model


def save(model: PreTrainedModel, folder: Path) -> tuple[dict[str, tuple[int, ...]], dict[str, Any]]:
    """Save a model as transformers does; the shapes and the config that its files then state."""
    model.save_pretrained(folder)
    tensors = read_header(folder / "model.safetensors").tensors
    config = json.loads((folder / "config.json").read_text())
    return {name: entry.shape for name, entry in tensors.items()}, config


def load(name: str, folder: Path) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Load a model as transformers does; the model, and what it missed or did not know."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_DEACTIVATE_ASYNC_LOAD", "1")  # its threads outlive the call
        model, found = zoo(name)[0].from_pretrained(folder, output_loading_info=True)
    return model, found
