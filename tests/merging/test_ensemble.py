from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from alnico.errors import IncompatibleModelsError
from alnico.merging.ensemble import Ensemble


class Gives(nn.Module):
    """Give what a function makes of the input."""

    def __init__(self, function: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> object:
        return self.function(x)


def test_it_gives_the_mean_of_what_its_members_give() -> None:
    members = [nn.Linear(4, 3) for _ in range(3)]
    x = torch.randn(5, 4)
    weight = torch.stack([member.weight for member in members]).mean(0)
    bias = torch.stack([member.bias for member in members]).mean(0)
    torch.testing.assert_close(Ensemble(members)(x), x @ weight.T + bias)  # linear: mean of weights


def test_the_form_of_the_output_is_that_of_the_members() -> None:
    def member(k: float) -> Gives:
        return Gives(lambda x: {"logits": k * x, "hidden": (x + k, [x]), "loss": None})

    found = Ensemble([member(1.0), member(2.0)])(torch.ones(2))
    assert found["logits"].tolist() == [1.5, 1.5]
    assert found["hidden"][0].tolist() == [2.5, 2.5] and found["hidden"][1][0].tolist() == [1, 1]
    assert found["loss"] is None


def test_outputs_of_transformers_are_averaged_too() -> None:
    from transformers import BertConfig, BertForSequenceClassification

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=20, intermediate_size=8, max_position_embeddings=8, **sizes)
    members = [BertForSequenceClassification(config).eval() for _ in range(2)]
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        found = Ensemble(members)(input_ids=ids)
        logits = [member(input_ids=ids).logits for member in members]
    torch.testing.assert_close(found.logits, sum(logits) / 2)


def test_members_keep_their_mode_and_the_ensemble_trains_only_if_all_do() -> None:
    members = [nn.Dropout().eval(), nn.Dropout().train()]
    found = Ensemble(members)
    assert not found.training and [member.training for member in members] == [False, True]
    assert Ensemble([nn.Dropout(), nn.Dropout()]).training


@pytest.mark.parametrize(
    ("functions", "said"),
    [
        ([lambda x: x.argmax(), lambda x: x.argmax()], r"have no mean: \[\] torch.int64"),
        ([lambda x: x, lambda x: x[:1]], r"\[1\] torch.float32, \[2\] torch.float32"),
        ([lambda x: x, lambda _: None], r"have no mean: \[2\] torch.float32"),
    ],
)
def test_outputs_without_a_mean_are_an_error(functions: list, said: str) -> None:
    with pytest.raises(IncompatibleModelsError, match=said):
        Ensemble([Gives(function) for function in functions])(torch.ones(2))
