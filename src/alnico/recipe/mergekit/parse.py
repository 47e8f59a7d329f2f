"""From a document to a mergekit recipe: the schemas of its yaml, multi and pytorch commands.

mergekit takes any key in silence. Here a key that means nothing is said, or is a fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alnico.recipe.faults import shown
from alnico.recipe.mergekit.parameters import read_parameters
from alnico.recipe.mergekit.reading import Reading, Where
from alnico.recipe.mergekit.references import read_reference
from alnico.recipe.mergekit.schema import (
    WHOLE,
    MergekitRecipe,
    Module,
    Reference,
    Slice,
    Source,
)
from alnico.recipe.mergekit.table import CONTRACTS, Contract
from alnico.recipe.mergekit.tokenizers import read_tokenizer
from alnico.recipe.yaml_text import Located
from alnico.registry import suggest

FORMS = ("models", "slices", "modules")
TOP = (
    "merge_method",
    *FORMS,
    "base_model",
    "dtype",
    "out_dtype",
    "parameters",
    "tokenizer",
    "tokenizer_source",
    "chat_template",
    "name",
)
DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}
"""mergekit's name of each dtype that can be merged -> safetensors'."""

GONE = {
    "consensus_ta": "mergekit 0.0.6 had it; there is nothing like it today",
    "consensus_ties": "mergekit 0.0.6 had it; ties is the nearest",
}
GONE_KEYS = {
    "embed_slerp": "mergekit left it out after 0.0.4: say it with tokenizer",
    "input_model_parameters": "mergekit left it out: say it with parameters of each model",
}


def parse(document: Located, path: Path, *, strict: bool = False) -> MergekitRecipe:
    """Read one document.

    Args:
        document: What is read.
        path: Its file, as messages call it.
        strict: Whether keys without meaning are faults.

    Raises:
        RecipeError: With every fault and its line.
    """
    reading = Reading(document, path, strict=strict)
    _warn_of_what_is_gone(reading)
    keys = reading.keys((), [*TOP, *GONE_KEYS])
    contract = _read_method(reading)
    base = read_reference(reading, ("base_model",)) if "base_model" in keys else None
    modules = _read_modules(reading, contract, base, [key for key in FORMS if key in keys])
    parameters = read_parameters(reading, ("parameters",), contract)
    tokenizer = read_tokenizer(reading)
    dtype, out_dtype = (_read_dtype(reading, key) for key in ("dtype", "out_dtype"))
    name = reading.text(("name",)) if "name" in keys else None
    reading.faults.check()
    assert contract is not None  # it would be a fault
    return MergekitRecipe(
        path,
        name,
        contract.name,
        modules,
        base,
        dtype,
        out_dtype,
        parameters,
        tokenizer,
        reading.said,
    )


def _warn_of_what_is_gone(reading: Reading) -> None:
    for key, why in GONE_KEYS.items():
        if reading.at((key,)) is not None:
            reading.without_effect((key,), f"{key} has no effect", help=why)


def _read_method(reading: Reading) -> Contract | None:
    where: Where = ("merge_method",)
    name = reading.text(where)
    if name is not None and name not in CONTRACTS:
        help = GONE.get(name) or suggest(name, CONTRACTS, all_of_them="mergekit's methods are")
        reading.fault(where, f"there is no merge_method {name!r}", help=help)
    return CONTRACTS.get(name) if name else None


def _read_dtype(reading: Reading, key: str) -> str | None:
    value = reading.at((key,))
    name = str(value).removeprefix("torch.")
    if value is not None and name not in DTYPES:
        help = suggest(name, DTYPES, all_of_them="a merge can be in")
        reading.fault((key,), f"{key}: models cannot be merged in {shown(value)}", help=help)
    return DTYPES.get(name)


def _read_modules(
    reading: Reading, contract: Contract | None, base: Reference | None, forms: Sequence[str]
) -> dict[str, Module]:
    if len(forms) != 1:
        got = " and ".join(forms) if forms else "none of them"
        reading.fault((), f"a recipe has one of models, slices and modules; here is {got}")
        return {}
    if forms[0] != "modules":
        return {WHOLE: _read_module(reading, (), contract, base, forms)}
    found = reading.at(("modules",))
    if not isinstance(found, dict) or not found:
        reading.fault(("modules",), f"modules must be a mapping, got {shown(found)}")
        return {}
    return {name: _read_part(reading, ("modules", name), contract, base) for name in found}


def _read_part(
    reading: Reading, where: Where, contract: Contract | None, base: Reference | None
) -> Module:
    keys = reading.keys(where, ["slices", "models", "parameters"])
    forms = [key for key in ("slices", "models") if key in keys]
    if len(forms) != 1:
        reading.fault(where, f"module {where[-1]} needs either slices or models")
        return Module(())
    module = _read_module(reading, where, contract, base, forms)
    return Module(module.slices, read_parameters(reading, (*where, "parameters"), contract))


def _read_module(
    reading: Reading,
    where: Where,
    contract: Contract | None,
    base: Reference | None,
    forms: Sequence[str],
) -> Module:
    inner = (*where, forms[0])
    if forms[0] == "slices":
        places = reading.places(inner)
        return Module(tuple(_read_slice(reading, at, contract, base) for at in places))
    sources = [
        source
        for at in reading.places(inner)
        if (source := _read_source(reading, at, contract, whole=True)) is not None
    ]
    if base is not None and all(source.model != base for source in sources):
        sources.append(Source(base))
    _check_count(reading, inner, contract, sources, base)
    return Module((Slice(tuple(sources), base),))


def _read_slice(
    reading: Reading, where: Where, contract: Contract | None, base: Reference | None
) -> Slice:
    keys = reading.keys(where, ["sources", "base_model", "residual_weight", "parameters"])
    if "residual_weight" in keys:
        reading.say((*where, "residual_weight"), "residual_weight has no effect, as in mergekit")
    if "base_model" in keys:
        base = read_reference(reading, (*where, "base_model"))
    sources = [
        source
        for at in reading.places((*where, "sources"))
        if (source := _read_source(reading, at, contract, whole=False)) is not None
    ]
    spans = [source.layers[1] - source.layers[0] for source in sources if source.layers]
    if len(set(spans)) > 1:
        text = f"the sources of a slice must have equally many layers, got {spans}"
        reading.fault((*where, "sources"), text)
    _check_count(reading, where, contract, sources, base)
    return Slice(tuple(sources), base, read_parameters(reading, (*where, "parameters"), contract))


def _read_source(
    reading: Reading, where: Where, contract: Contract | None, *, whole: bool
) -> Source | None:
    known = ["model", "parameters"] if whole else ["model", "layer_range", "parameters"]
    reading.keys(where, known)
    model = read_reference(reading, (*where, "model"))
    layers = None if whole else _read_range(reading, (*where, "layer_range"))
    parameters = read_parameters(reading, (*where, "parameters"), contract)
    return None if model is None else Source(model, layers, parameters, reading.line(where))


def _read_range(reading: Reading, where: Where) -> tuple[int, int] | None:
    value = reading.at(where)
    if not isinstance(value, list) or len(value) != 2 or any(type(end) is not int for end in value):
        text = f"layer_range must be two whole numbers, got {shown(value)}"
        reading.fault(where, text, help="[0, 8] takes layers 0 to 7")
        return None
    start, stop = value
    if start < 0 or stop <= start:
        help = "layers count from 0, and the end is the first that is left out"
        reading.fault(where, f"layer_range {value} holds no layer", help=help)
        return None
    return start, stop


def _check_count(
    reading: Reading,
    where: Where,
    contract: Contract | None,
    sources: Sequence[Source],
    base: Reference | None,
) -> None:
    if contract is None or not sources:
        return
    has_base = contract.base != "ignored" and any(source.model == base for source in sources)
    fault = contract.fault(len(sources), has_base=has_base)
    if fault is None and base is not None and contract.base == "optional" and not has_base:
        fault = f"base_model {base} is not among the sources"
    if fault is not None:
        reading.fault(where, fault)
    places = [(source.model, source.layers) for source in sources]
    for model, layers in dict.fromkeys(place for place in places if places.count(place) > 1):
        of_what = "" if layers is None else f" with layers {list(layers)}"
        reading.fault(where, f"{model} is named twice{of_what}", help="give it one greater weight")
    if has_base and sum(source.model == base for source in sources) > 1:
        reading.fault(where, f"{base} is the base and cannot be a second source of one slice")
