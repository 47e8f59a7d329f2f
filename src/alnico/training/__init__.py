"""Training of any `nn.Module`, many members at once where their architecture allows it."""

from alnico.training.loop import train
from alnico.training.optimisers import Setting, optimisers
from alnico.training.records import Epoch, Trained, Training
from alnico.training.ways import Asked

__all__ = ["Asked", "Epoch", "Setting", "Trained", "Training", "optimisers", "train"]
