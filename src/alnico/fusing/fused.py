"""The one network that a fusion is: its members, and the structure that joins them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from alnico.errors import RecipeError
from alnico.probing import tap
from alnico.structures import Parts, Structure
from alnico.types import Batch


class Fused(nn.Module):
    """Members and a structure over them; or a single network, which needs none.

    Args:
        members: Networks whose outputs are [n, c].
        structure: Joins what they say; None with one member.

    Raises:
        RecipeError: If there are several members and nothing that joins them, or no members.
    """

    def __init__(self, members: Sequence[nn.Module], structure: Structure | None = None) -> None:
        super().__init__()
        if not members or (structure is None and len(members) > 1):
            raise RecipeError(
                f"{len(members)} members and no structure that joins them",
                help="give one member, or several and a structure",
            )
        self.members = nn.ModuleList(members)
        self.structure = structure

    def forward(self, inputs: Batch) -> Tensor:
        """A batch of n rows -> [n, c]"""
        if self.structure is None:
            out: Tensor = self.members[0](inputs)
            return out
        joined: Tensor = self.structure(Parts.of([tap(m, inputs) for m in self.members]))
        return joined

    @property
    def n_parameters(self) -> int:
        """Learned numbers in all members and the structure."""
        return sum(p.numel() for p in self.parameters())
