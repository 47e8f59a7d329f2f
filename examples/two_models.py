"""Two networks learn who buys in a shop under one joint loss, and become one in three ways."""

import copy

import torch
from torch import Tensor, nn

import alnico


def visitors(n: int) -> tuple[Tensor, Tensor]:
    """Made-up visitors: what they did in numbers near 0 [n, 5], and whether they bought [n]."""
    pages, minutes = torch.poisson(torch.full((n,), 6.0)), torch.rand(n) * 20
    basket, returning = torch.poisson(torch.full((n,), 1.5)), (torch.rand(n) < 0.4).float()
    from_ad = (torch.rand(n) < 0.3).float()
    keen = 0.9 * basket + returning * (minutes / 6 - 1) - 2 * from_ad * (pages > 7) - 1.6
    seen = torch.stack([pages / 6 - 1, minutes / 10 - 1, basket - 1.5, returning, from_ad], 1)
    return seen, (torch.rand(n) < torch.sigmoid(2 * keen)).long()


def network(width: int) -> nn.Module:
    hidden = [nn.Linear(5, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(width, 2))


def train(networks: list[nn.Module], rates: list[float], rows: Tensor, buys: Tensor) -> None:
    """One Adam a network, one loss for all: that of their mean output."""
    optimisers = [torch.optim.Adam(n.parameters(), r) for n, r in zip(networks, rates, strict=True)]
    for epoch in range(1, 9):
        losses = []
        for batch in torch.randperm(len(rows)).split(64):
            output = torch.stack([one(rows[batch]) for one in networks]).mean(0)
            loss = nn.functional.cross_entropy(output, buys[batch])
            for optimiser in optimisers:
                optimiser.zero_grad()
            loss.backward()
            for optimiser in optimisers:
                optimiser.step()
            losses.append(loss.item())
        print(f"epoch {epoch}  loss {sum(losses) / len(losses):.4f}")


torch.manual_seed(0)
train_rows, valid_rows, test_rows = visitors(3_000), visitors(1_000), visitors(4_000)
one = network(24)
other, wide = copy.deepcopy(one), network(48)
train([one, other], [2e-3, 3e-3], *train_rows)  # one start, so that their average is a network
train([wide], [3e-3], *train_rows)

networks = {"one": one, "other": other, "wide": wide}
networks["weighted average"] = alnico.merge([one, other], "linear", weight=[0.5, 0.5])
for structure in ("concat", "attention"):
    networks[structure] = alnico.fuse([one, other, wide], structure, data=valid_rows)
for name, model in networks.items():
    accuracy = (model(test_rows[0]).argmax(1) == test_rows[1]).float().mean()
    print(f"{name:16}  accuracy {accuracy:.3f}")
