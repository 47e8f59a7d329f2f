"""Small models with tokenizers of their own, and merges of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor

from alnico.checkpoint.opened import Checkpoint, open_checkpoint
from alnico.merging.saving import Order, write_plan
from alnico.merging.steps import Form, Input, Plan, Step
from alnico.merging.vocabulary import Vocabulary, prepare
from alnico.methods import methods

AXES = {"model.embed_tokens.weight": 0, "lm_head.weight": 0}
WIDTH = 8
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": WIDTH,
    "intermediate_size": WIDTH,
    "num_hidden_layers": 0,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "tie_word_embeddings": False,
}


@dataclass(frozen=True)
class Merged:
    """A merged model on disk, and what was said of it."""

    folder: Path
    said: tuple[str, ...]

    @property
    def tensors(self) -> dict[str, Tensor]:
        return load_file(self.folder / "model.safetensors")

    @property
    def vocabulary(self) -> dict[str, int]:
        """The tokens, as another library reads them."""
        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        found: dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
        return found

    def json(self, name: str = "config.json") -> dict[str, object]:
        found: dict[str, object] = json.loads((self.folder / name).read_text("utf-8"))
        return found

    def row(self, token: str, name: str = "model.embed_tokens.weight") -> Tensor:
        return self.tensors[name][self.vocabulary[token]]


@dataclass(frozen=True)
class Family:
    """Models in one folder, and what merges them."""

    folder: Path
    models: dict[str, Merged] = field(default_factory=dict)

    def add(
        self,
        name: str,
        words: str,
        *,
        added: Sequence[str] = (),
        n_rows: int | None = None,
        dtype: torch.dtype = torch.float32,
        head: bool = True,
        **config: object,
    ) -> Path:
        """A model whose tokens are `<s>`, `</s>`, words, and then what is added."""
        folder = self.folder / name
        folder.mkdir()
        tokens = ["<s>", "</s>", *words.split()]
        inner = models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token="<s>")
        tokenizer = Tokenizer(inner)
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokenizer.add_special_tokens(["<s>", "</s>", *added])
        tokenizer.save(str(folder / "tokenizer.json"))
        says = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"}
        (folder / "tokenizer_config.json").write_text(json.dumps(says))
        n = tokenizer.get_vocab_size() if n_rows is None else n_rows
        (folder / "config.json").write_text(json.dumps({**CONFIG, "vocab_size": n, **config}))
        tensors = {key: torch.randn(n, WIDTH).to(dtype) for key in list(AXES)[: 1 + head]}
        tensors["model.norm.weight"] = torch.randn(WIDTH).to(dtype)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        self.models[name] = Merged(folder, ())
        return folder

    def merge(
        self,
        names: str,
        asked: Vocabulary | None = None,
        *,
        base: int | None = 0,
        donor: int = 0,
        others: str = "",
        axes: Mapping[str, int] = AXES,
    ) -> Merged:
        """The mean of models, written."""
        place = self.folder / "out"
        with ExitStack() as stack:
            opened, asides = (
                {n: stack.enter_context(open_checkpoint(self.folder / n)) for n in each.split()}
                for each in (names, others)
            )
            given = list(opened.values())
            prepared = prepare(
                mean_of(opened),
                given,
                asked or Vocabulary(),
                axes=axes,
                base=base,
                donor=donor,
                others=asides,
            )
            order = Order(
                donor=donor,
                config_changes=prepared.config_changes,
                skip=prepared.skip,
                add_files=prepared.write_files,
                force=True,
            )
            write_plan(prepared.plan, prepared.models, place, order)
        return Merged(place, prepared.said)


def mean_of(opened: Mapping[str, Checkpoint]) -> Plan:
    """A plan for the mean of models in all tensors of the first, whatever their lengths."""
    first, *_ = opened.values()
    given = methods["linear"].check(len(opened), {"weight": 1.0})
    steps = []
    for name, entry in first.tensors.items():
        holders = enumerate(opened.values())
        inputs = [
            Input(i, name if name in model.tensors else next(iter(AXES))) for i, model in holders
        ]
        form = Form(entry.dtype, tuple(entry.shape))
        steps.append(Step(name, form, "merge", tuple(inputs), None, methods["linear"], given))
    return Plan(tuple(opened), tuple(steps))


@pytest.fixture
def family(tmp_path: Path) -> Family:
    """No models yet."""
    return Family(tmp_path)


@pytest.fixture
def three(family: Family) -> Family:
    """Models `a`, `b` and `c`, of which each has tokens that others lack."""
    family.add("a", "the cat sat on mat", added=["<pad>"])
    family.add("b", "el gato sat la cama", added=["<|im_start|>"])
    family.add("c", "dog the cat la")
    return family
