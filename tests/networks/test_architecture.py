"""The contract of all architectures, and how one is described and built."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from alnico.errors import RecipeError, UnknownNameError
from alnico.networks import Architecture, architectures, build, describe
from alnico.probing import tap
from alnico.types import Inputs

FORMS = {
    "numbers": Inputs(numbers=3),
    "missing": Inputs(numbers=4, missing=2),
    "categories": Inputs(categories=(3, 5)),
    "table": Inputs(numbers=3, missing=1, categories=(2, 4, 1)),
    "text": Inputs(words=12, bag=20),
    "both": Inputs(numbers=2, categories=(3,), words=12, bag=20),
}
TABLE, TEXT = ("mlp", "resnet", "gated", "dcn"), ("text_bag", "text_gru")
READABLE = [
    *((name, form) for name in TABLE for form, inputs in FORMS.items() if inputs.has_table),
    *((name, form) for name in TEXT for form, inputs in FORMS.items() if inputs.has_text),
    *(("linear", form) for form in FORMS),
    ("mixed", "both"),
    *(("given", form) for form, inputs in FORMS.items() if inputs.numbers),
]
every_pair = pytest.mark.parametrize(("name", "form"), READABLE)


def described(name: str, form: str, *, n_outputs: int, **of) -> Architecture:
    """The description of a network; a given one is a perceptron like the others."""
    architecture = Architecture(name, **{"width": 8, **of})
    if name != "given":
        return architecture
    layers: list[nn.Module] = []
    in_width = FORMS[form].numbers
    with torch.device("meta"):
        for _ in range(architecture.depth):
            layers += [nn.Linear(in_width, architecture.width), architecture.activate()]
            layers += [nn.Dropout(architecture.dropout)]
            in_width = architecture.width
        layers.append(nn.Linear(in_width, n_outputs))
    return Architecture("given", layers=describe(nn.Sequential(*layers)))


def network(name: str, form: str, *, seed: int = 0, n_outputs: int = 3, **of) -> nn.Module:
    architecture = described(name, form, n_outputs=n_outputs, **of)
    return build(architecture, FORMS[form], n_outputs, seed=seed).eval()


def parameters(module: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def test_every_registered_architecture_is_under_this_contract() -> None:
    assert {name for name, _ in READABLE} == set(architectures)


@every_pair
@pytest.mark.parametrize("n_outputs", [1, 4])
def test_the_output_has_a_row_each_and_is_finite(name, form, n_outputs, make_batch) -> None:
    out = network(name, form, n_outputs=n_outputs)(make_batch(FORMS[form], 7))
    assert out.shape == (7, n_outputs) and out.dtype == torch.float32 and out.isfinite().all()


@every_pair
def test_the_weights_are_a_function_of_the_seed(name, form) -> None:
    before = torch.get_rng_state()
    one, again, other = (parameters(network(name, form, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert torch.equal(torch.get_rng_state(), before), "building used the global random state"
    assert name == "linear" or not torch.equal(one, other)


@every_pair
@pytest.mark.parametrize("depth", [1, 3])
def test_a_gradient_reaches_every_parameter(name, form, depth, make_batch) -> None:
    module = network(name, form, depth=depth, activation="gelu")
    module(make_batch(FORMS[form], 9)).sub(1).square().sum().backward()
    for parameter_name, parameter in module.named_parameters():
        if parameter.numel():
            assert parameter.grad is not None and parameter.grad.any(), parameter_name


@every_pair
@pytest.mark.parametrize("encoding", ["quantile", "log"])
def test_keys_are_exactly_what_is_read(name, form, encoding, make_batch) -> None:
    architecture = described(name, form, n_outputs=2, encoding=encoding)
    module, keys = build(architecture, FORMS[form], 2).eval(), architecture.keys(FORMS[form])
    batch = make_batch(FORMS[form], 5)
    needed = {key: batch[key] for key in keys}
    assert torch.equal(module(needed), module(batch))
    for key in keys:
        with pytest.raises(KeyError, match=key):
            module({name: tensor for name, tensor in needed.items() if name != key})


@every_pair
@pytest.mark.parametrize("width", [2, 8])
def test_the_layer_before_the_last_is_as_wide_as_asked(name, form, width, make_batch) -> None:
    module = network(name, form, width=width)
    outputs = tap(module, make_batch(FORMS[form], 5))
    if name == "linear":
        assert outputs.features.shape == (5, 0)
    else:
        assert outputs.features.shape == (5, width)
        head = module.module[-1] if name == "given" else module.head
        assert torch.equal(head(outputs.features), outputs.logits)


@every_pair
def test_rows_do_not_see_each_other(name, form, make_batch, part_of) -> None:
    module, batch = network(name, form), make_batch(FORMS[form], 6)
    one_by_one = [module(part_of(batch, slice(i, i + 1))) for i in range(6)]
    torch.testing.assert_close(module(batch), torch.cat(one_by_one), rtol=1e-5, atol=1e-6)


@every_pair
def test_dropout_acts_in_training_alone(name, form, make_batch) -> None:
    module, batch = network(name, form, dropout=0.5), make_batch(FORMS[form], 6)
    assert torch.equal(module(batch), module(batch))
    module.train()
    assert torch.equal(module(batch), module(batch)) == (name == "linear")


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("name", [*TABLE, "text_gru", "given"])
def test_leading_axes_are_read_slice_by_slice(name, depth, make_batch, part_of) -> None:
    # what lets the trainer run members of one architecture as a stack
    module, batch = network(name, "both", depth=depth), make_batch(FORMS["both"], 4, 6)
    by_slice = torch.stack([module(part_of(batch, i)) for i in range(4)])
    torch.testing.assert_close(module(batch), by_slice, rtol=1e-5, atol=1e-6)


def test_depth_and_activation_change_the_network(make_batch) -> None:
    batch = make_batch(FORMS["table"], 5)
    for name in TABLE:
        sizes = [parameters(network(name, "table", depth=depth)).numel() for depth in (1, 2, 3)]
        assert sizes[2] - sizes[1] == sizes[1] - sizes[0] > 0
        said = [network(name, "table", activation=a)(batch) for a in ("relu", "silu", "gelu")]
        assert not torch.equal(said[0], said[1]) and not torch.equal(said[1], said[2])


def test_only_text_networks_read_nothing_but_text() -> None:
    assert [name for name in architectures if Architecture(name).reads_text] == [*TEXT]


def test_those_fit_that_read_all_they_are_made_for() -> None:
    fitting = {
        form: {name for name in (*TABLE, *TEXT, "mixed") if Architecture(name).fits(inputs)}
        for form, inputs in FORMS.items()
    }
    assert fitting.pop("text") == {*TEXT}
    assert fitting.pop("both") == {*TABLE, *TEXT, "mixed"}
    assert all(names == {*TABLE} for names in fitting.values())


def test_unknown_names_point_to_the_right_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"no architecture 'resnt'\n.*did you mean 'resnet'"):
        Architecture("resnt")
    with pytest.raises(RecipeError, match=r"mlp: .* encoding 'quantiles'\n.*mean 'quantile'"):
        Architecture("mlp", "quantiles")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match=r"mlp: .* activation 'Relu'\n.*did you mean 'relu'"):
        Architecture("mlp", activation="Relu")


@pytest.mark.parametrize(
    "wrong", [{"depth": 0}, {"width": 0}, {"dropout": 1.0}, {"dropout": -0.1}, {"dropout": 20.0}]
)
def test_a_value_out_of_range_is_refused_with_the_value(wrong) -> None:
    (key, value), *_ = wrong.items()
    with pytest.raises(RecipeError, match=rf"dcn: .* got .*{key} {value}"):
        Architecture("dcn", **wrong)


@pytest.mark.parametrize(("name", "form"), [("mlp", "text"), ("text_bag", "table")])
def test_a_network_with_nothing_to_read_is_refused(name, form) -> None:
    with pytest.raises(RecipeError, match=f"{name} has nothing to read in Inputs"):
        network(name, form)
    with pytest.raises(RecipeError, match="text_gru has nothing to read"):
        network("text_gru", "numbers")
