"""What training tests need beyond the common fixtures."""

from __future__ import annotations

import torch

# the first optimiser of a process makes torch load its compiler, which sets a variable for good
torch.optim.SGD([torch.zeros(1, requires_grad=True)]).step()
