"""The one network that a fusion is: its members, and the structure that joins them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from alnico.errors import RecipeError
from alnico.probing import find_layer, tap
from alnico.pruning import n_parameters
from alnico.structures import Parts, Structure
from alnico.types import Batch


class Fused(nn.Module):
    """Members and a structure over them; or a single network, which needs none.

    Args:
        members: Networks whose outputs are [n, c].
        structure: Joins what they say; None with one member.
        taps: The layer of each member whose output its features are, as in `alnico.probing.tap`;
            None takes what goes into the last linear layer of each.
        chosen: Which models of those that were to be fused the members are, by their place; all of
            them if None.

    Raises:
        RecipeError: If there are several members and nothing that joins them, or no members, or
            taps or places of another number.
        UnknownNameError: If a member has no layer of that name.
    """

    def __init__(
        self,
        members: Sequence[nn.Module],
        structure: Structure | None = None,
        taps: Sequence[str | None] | None = None,
        *,
        chosen: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if not members or (structure is None and len(members) > 1):
            raise RecipeError(
                f"{len(members)} members and no structure that joins them",
                help="give one member, or several and a structure",
            )
        self.members = nn.ModuleList(members)
        self.structure = structure
        self.taps = (None,) * len(members) if taps is None else tuple(taps)
        self.chosen = tuple(range(len(members))) if chosen is None else tuple(chosen)
        for what, found in (("taps", self.taps), ("places", self.chosen)):
            if len(found) != len(members):
                raise RecipeError(f"{len(members)} members need as many {what}, got {len(found)}")
        for member, layer in zip(members, self.taps, strict=True):
            if layer is not None:
                find_layer(member, layer)

    def forward(self, inputs: Batch) -> Tensor:
        """A batch of n rows -> [n, c]"""
        if self.structure is None:
            out: Tensor = self.members[0](inputs)
            return out
        pairs = zip(self.members, self.taps, strict=True)
        joined: Tensor = self.structure(Parts.of([tap(m, inputs, layer) for m, layer in pairs]))
        return joined

    @property
    def n_parameters(self) -> int:
        """Learned numbers in all members and the structure."""
        return n_parameters(self)
