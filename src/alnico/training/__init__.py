"""Training of any `nn.Module`, many members at once where their architecture allows it."""

from alnico.training.loop import train
from alnico.training.optimisers import Setting, optimisers
from alnico.training.records import Epoch, Trained, Training
from alnico.training.together import Together, schemes
from alnico.training.ways import Asked

__all__ = [
    "Asked",
    "Epoch",
    "Setting",
    "Together",
    "Trained",
    "Training",
    "optimisers",
    "schemes",
    "train",
]
