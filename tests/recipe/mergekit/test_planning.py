from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from alnico.checkpoint.opened import open_checkpoint
from alnico.checkpoint.reader import DTYPES
from alnico.errors import RecipeError
from alnico.merging.exact import order_key, seed_all
from alnico.merging.steps import Dropped, Exact, Form, Input, Plan, Step
from alnico.methods import Method
from alnico.recipe.mergekit import Planned, plan_mergekit
from alnico.types import StateDict

SLICED = """\
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 2]}]
  - sources: [{model: b, layer_range: [2, 4]}]
base_model: c
"""


def test_every_tensor_of_every_model_is_accounted_for(
    plan: Callable[..., Planned], llama: Callable[..., Any]
) -> None:
    models = {"a": llama(4), "b": llama(4), "c": llama(2)}
    planned = plan(SLICED, **models)
    used = {input for step in planned.plan.steps for input in step.inputs}
    dropped = {one.input: one.reason for one in planned.plan.dropped}
    tensors = {
        Input(number, name)
        for number, model in enumerate(models.values())
        for name in model.tensors
    }
    assert used | dropped.keys() == tensors and used.isdisjoint(dropped)
    name = "mlp.up_proj.weight"
    assert dropped[Input(0, f"model.layers.3.{name}")] == "its layer is in no slice"
    assert dropped[Input(1, "model.embed_tokens.weight")] == "no slice asks for it"
    assert dropped[Input(2, "lm_head.weight")] == "the model gives its config and tokenizer alone"
    assert planned.config_donor == 2 and planned.plan.models == ("a", "b", "c")
    assert planned.config_changes == {("num_hidden_layers",): 4}


def test_tensors_outside_the_modules_are_copied_from_the_donor(
    plan: Callable[..., Planned], llama: Callable[..., Any]
) -> None:
    more = {"audio.proj.weight": Form("F32", (2, 2))}
    text = (
        "merge_method: linear\nparameters: {weight: 1}\n"
        "modules: {model: {models: [{model: a}, {model: b}]}}\n"
    )
    planned = plan(text, a=llama(more=more), b=llama(more=more))
    copied = {step.name: step.inputs for step in planned.plan.steps if step.rule == "copy"}
    assert copied == {name: (Input(0, name),) for name in ("lm_head.weight", "audio.proj.weight")}
    assert (
        Dropped(Input(1, "audio.proj.weight"), "another model's is taken") in planned.plan.dropped
    )
    assert any(line.startswith("2 tensors outside the modules model") for line in planned.said)


def test_a_path_is_found_beside_the_recipe(
    tmp_path: Path, llama: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recipes" / "a").mkdir(parents=True)
    path = tmp_path / "recipes" / "copy.yml"
    path.write_text("merge_method: passthrough\nmodels: [{model: a}]\nfoo: 1\n")
    monkeypatch.chdir(tmp_path)
    opened: list[str] = []

    def open_model(place: str) -> Any:
        opened.append(place)
        return llama()

    planned = plan_mergekit(Path("recipes/copy.yml"), open_model=open_model, seed=7)
    assert opened == [str(Path("recipes/a"))] and planned.plan.seed == 7
    assert planned.said == planned.plan.said
    assert planned.said[0].startswith("recipes/copy.yml:3: foo is not known to mergekit")
    with pytest.raises(RecipeError, match="foo is not known to mergekit"):
        plan_mergekit(path, open_model=open_model, strict=True)


def run(plan: Plan) -> StateDict:
    """A merge in ten lines: whole tensors, no file written."""
    models = [load_file(Path(place) / "model.safetensors") for place in plan.models]
    return {step.name: run_step(step, models) for step in plan.steps}


def run_step(step: Step, models: list[StateDict]) -> torch.Tensor:
    tensors = [models[input.model][input.name] for input in step.inputs]
    if step.rule == "copy":
        return tensors[0]
    assert step.rule == "merge" and isinstance(step.method, Method)
    stack = torch.stack([tensor.float() for tensor in tensors])
    base = None if step.base is None else models[step.base.model][step.base.name].float()
    over = base if base is not None and step.method.sees != "weights" else torch.zeros(())
    given = {"base": base} if step.method.asks_base else {}
    merged = over + step.method(stack - over, **given, **step.parameters)  # type: ignore[arg-type]
    return merged.to(DTYPES[step.form.dtype])


@pytest.fixture(scope="module")
def llamas(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three tiny models on disk, with the names that transformers gives their tensors."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 8,
        "intermediate_size": 12,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "vocab_size": 16,
        "tie_word_embeddings": False,
    }
    shapes: dict[str, tuple[int, ...]] = {}
    shapes |= {"self_attn.q_proj": (8, 8), "self_attn.k_proj": (8, 8), "self_attn.v_proj": (8, 8)}
    shapes |= {"self_attn.o_proj": (8, 8), "mlp.gate_proj": (12, 8), "mlp.up_proj": (12, 8)}
    shapes |= {"mlp.down_proj": (8, 12), "input_layernorm": (8,), "post_attention_layernorm": (8,)}
    names = {f"model.layers.{i}.{k}.weight": s for i in range(4) for k, s in shapes.items()}
    names |= {"model.embed_tokens.weight": (16, 8), "lm_head.weight": (16, 8)}
    names |= {"model.norm.weight": (8,)}
    folder = tmp_path_factory.mktemp("llamas")
    for seed, name in enumerate("abc"):
        generator = torch.Generator().manual_seed(seed)
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(config))
        state = {k: torch.randn(*s, generator=generator) for k, s in names.items()}
        save_file(state, folder / name / "model.safetensors")
    return {name: folder / name for name in "abc"}


# with these shares whole numbers of entries stay: mergekit rounds others down, alnico to nearest
ORACLE = {
    "passthrough": SLICED,
    "linear over slices": """\
merge_method: linear
slices:
  - sources:
      - {model: a, layer_range: [0, 3], parameters: {weight: [0.9, 0.1]}}
      - {model: b, layer_range: [1, 4], parameters: {weight: {filter: mlp, value: 0.3}}}
  - sources:
      - {model: c, layer_range: [3, 4], parameters: {weight: [1, 4]}}
      - {model: b, layer_range: [0, 1]}
parameters: {weight: 0.5}
""",
    "slerp": """\
merge_method: slerp
base_model: b
models: [{model: a}, {model: b}]
parameters:
  t:
    - {filter: self_attn, value: [0, 0.5, 0.3, 1]}
    - {filter: mlp, value: [1, 0]}
    - value: 0.5
""",
    "ties": """\
merge_method: ties
base_model: c
models:
  - {model: a, parameters: {weight: 0.3, density: [1, 0.25]}}
  - {model: b, parameters: {weight: [0.5, 1.5], density: 0.5}}
parameters: {normalize: true, int8_mask: true}
""",
    "task_arithmetic": """\
merge_method: task_arithmetic
base_model: a
slices:
  - sources:
      - {model: a, layer_range: [0, 2]}
      - {model: b, layer_range: [2, 4]}
      - {model: c, layer_range: [0, 2]}
    parameters: {weight: 0.4}
  - base_model: b
    sources:
      - {model: c, layer_range: [2, 4], parameters: {weight: 2}}
      - {model: a, layer_range: [0, 2], parameters: {weight: 1}}
      - {model: b, layer_range: [0, 2]}
parameters: {normalize: true, lambda: 0.7}
""",
    "multislerp": """\
merge_method: multislerp
models: [{model: a}, {model: c}, {model: b}]
parameters: {weight: [{filter: q_proj, value: 0.2}, {value: [0.5, 1]}]}
""",
    "nearswap": """\
merge_method: nearswap
base_model: b
models: [{model: a}]
parameters: {t: [0.1, 1]}
""",
}


@pytest.fixture
def merge_both(
    llamas: dict[str, Path], tmp_path: Path
) -> Callable[..., tuple[Planned, StateDict, Mapping[str, object]]]:
    """A recipe planned here, and run by mergekit: its tensors and its config."""

    def merge_both(
        text: str, *, exact: bool = False, seed: int = 0
    ) -> tuple[Planned, StateDict, Mapping[str, object]]:
        kit = pytest.importorskip("mergekit.merge")
        from mergekit.config import MergeConfiguration
        from mergekit.options import MergeOptions

        for name, place in llamas.items():
            text = text.replace(f"model: {name}", f"model: {place}")
        path, theirs = tmp_path / "recipe.yml", tmp_path / "theirs"
        path.write_text(text)
        config = MergeConfiguration.model_validate(yaml.safe_load(text))
        options = MergeOptions(
            quiet=True, copy_tokenizer=False, write_model_card=False, random_seed=seed
        )
        kit.run_merge(config, str(theirs), options)
        state: StateDict = {}
        for file in theirs.glob("*.safetensors"):
            state |= load_file(file)
        with ExitStack() as opened:
            planned = plan_mergekit(
                path,
                open_model=lambda place: opened.enter_context(open_checkpoint(place)),
                exact=exact,
                seed=seed,
            )
        return planned, state, json.loads((theirs / "config.json").read_text())

    return merge_both


@pytest.mark.parametrize("recipe", ORACLE.values(), ids=ORACLE)
def test_mergekit_makes_the_same_model(merge_both: Callable[..., Any], recipe: str) -> None:
    planned, theirs, config = merge_both(recipe)
    ours = run(planned.plan)
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-4, atol=1e-5, msg=name)
    count = planned.config_changes.get(("num_hidden_layers",), 4)
    assert config["num_hidden_layers"] == count


DARE = """\
merge_method: dare_ties
base_model: c
models:
  - {model: a, parameters: {weight: 0.7, density: [0.3, 0.9]}}
  - {model: b, parameters: {weight: 0.4, density: 0.5}}
dtype: bfloat16
"""
UNEVEN = """\
merge_method: linear
parameters: {weight: 1}
slices:
  - sources: [{model: a, layer_range: [0, 2]}]
  - sources: [{model: b, layer_range: [0, 2]}, {model: c, layer_range: [2, 4]}]
dtype: float16
out_dtype: float32
"""


@pytest.mark.parametrize(
    "recipe",
    [DARE, UNEVEN, *ORACLE.values(), SLICED + "dtype: float16\nout_dtype: float32\n"],
    ids=["dare_ties", "uneven", *ORACLE, "rounded copy"],
)
def test_mergekits_own_arithmetic_gives_its_bits(
    merge_both: Callable[..., Any], recipe: str
) -> None:
    planned, theirs, _ = merge_both(recipe, exact=True, seed=5)
    assert run_exact(planned.plan).keys() == theirs.keys()
    for name, tensor in run_exact(planned.plan).items():
        assert tensor.dtype == theirs[name].dtype and torch.equal(tensor, theirs[name]), name


def run_exact(plan: Plan) -> StateDict:
    models = [load_file(Path(place) / "model.safetensors") for place in plan.models]
    found: StateDict = {}
    seed_all(plan.seed)
    for step in sorted(plan.steps, key=lambda step: order_key(i.name for i in with_base(step))):
        tensors = [models[input.model][input.name] for input in with_base(step)]
        if step.rule == "merge":
            assert isinstance(step.method, Exact) and step.work_dtype is not None
            work = [tensor.to(DTYPES[step.work_dtype]) for tensor in tensors]
            base = work.pop() if step.base is not None else None
            tensors = [step.method.function(work, base, step.parameters)]
        found[step.name] = tensors[0].to(DTYPES[step.form.dtype])
    return found


def with_base(step: Step) -> list[Input]:
    return [*step.inputs, *([] if step.base is None else [step.base])]
